"""Marks in a request's body: words that come back tell where the prompt goes in and comes out."""

import secrets
import string
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from chatwright.errors import LoadError
from chatwright.wrap.endpoint.asking import Body
from chatwright.wrap.endpoint.curl import slots
from chatwright.wrap.endpoint.curl.heard import Heard, Path, Spot, changed, heard, leaves, written
from chatwright.wrap.endpoint.curl.secrets import looks_random
from chatwright.wrap.endpoint.curl.sketch import Sketch

__all__ = ["Marks", "Sender"]

_TRIED = 8
"""How many texts of a body are tried as the prompt."""
_COUNT = "Count from 1 to 20. Write numbers and commas, nothing else."
_COUNTED = "17,18,19"


def _repeat() -> tuple[str, str]:
    """Return a question whose answer holds a word that stands nowhere else, and the word."""
    word = "".join(secrets.choice(string.ascii_lowercase) for _ in range(9))
    return f"Repeat the word {word} and write nothing else.", word


class Sender(Protocol):
    """Who sends a command with another body."""

    async def send(self, body: Any, /) -> Body:
        """Send it."""

    def works(self, body: Body, /) -> bool:
        """Tell whether it was answered."""

    def why(self, body: Body, /) -> str:
        """Say why it was not."""


class Marks:
    """Finds out what a body and its answer consist of.

    Args:
        sender: Sends bodies.
        body: The command's own.
        sketch: Is told what is found.
        key_path: Where the key stands in the body; None if it does not.
    """

    def __init__(self, sender: Sender, body: Any, sketch: Sketch, key_path: Path | None) -> None:
        """Prepare; nothing is sent yet."""
        self._sender = sender
        self._body = body
        self._sketch = sketch
        self._key_path = key_path
        self._talk: slots.Talk | None = None
        self._prompt: Path = ()
        self._path: Path = ()
        self._as_one_text = ""
        self._earlier: slots.Talk | None = None
        self._template = _escaped(body)

    async def find(self, tell: Callable[[str], object]) -> None:
        """Find all of it.

        Raises:
            LoadError: Nothing tells where the prompt goes in, or where text comes out.
        """
        tell("where the prompt goes in")
        spot = await self._place()
        tell("how answers come")
        await self._answers(spot)
        if talk := self._talk or await self._history():
            tell("roles")
            await self._roles(talk)
        await self._error()
        self._rest()
        self._sketch.request["body"] = self._template

    def _asking(self, question: str) -> Any:
        """Return the body with a question in the prompt's place."""
        if self._talk:
            return self._talk.put(self._body, (self._talk.user, question))
        return changed(self._body, self._prompt, lambda _: question)

    async def _place(self) -> Spot:
        """Find where the prompt goes in; return where the answer's text stands."""
        listed = [*slots.talks(self._body)]
        within = {each.path for each in listed}
        loose = [p for p in slots.prompts(self._body) if not any(p[: len(w)] == w for w in within)]
        places: list[tuple[slots.Talk | None, Path]] = [(each, each.path) for each in listed]
        places = [*places, *((None, each) for each in loose)][:_TRIED]
        for question, word in (_repeat(), (_COUNT, _COUNTED)):
            for talk, place in places:
                self._at(talk, place)
                said = await self._said(self._asking(question))
                if said and (spot := said.saying(word, question)):
                    self._put_prompt(written(place), f"{word!r}, asked for there, came back")
                    return spot
        if spot := await self._by_difference(places):
            return spot
        tried = ", ".join(written(place) for _, place in places)
        raise LoadError(
            "nothing tells where the prompt goes in: a word that the LLM was to repeat, put at "
            f"{tried or 'no text at all'}, did not come back. Describe it by hand: see 'Endpoint "
            "files' in docs/endpoints.md"
        )

    def _at(self, talk: slots.Talk | None, place: Path) -> None:
        self._talk, self._prompt = talk, (place if talk is None else ())

    async def _said(self, body: Any) -> Heard | None:
        answer = await self._sender.send(body)
        return heard(answer) if self._sender.works(answer) else None

    async def _by_difference(self, places: Sequence[tuple[slots.Talk | None, Path]]) -> Spot | None:
        """Tell by what changes, of a server that says the same to the same."""
        first, again = [await self._said(self._body) for _ in range(2)]
        if not first or not again or first != again:
            return None
        changing = []
        for talk, place in places:
            self._at(talk, place)
            said = await self._said(self._asking(_COUNT))
            before = first.spots()
            differ = [e for p, e in (said.spots() if said else {}).items() if before.get(p) != e]
            if differ:
                changing.append((talk, place, max(differ, key=lambda spot: len(spot.text))))
        if len(changing) != 1:
            return None
        talk, place, spot = changing[0]
        self._at(talk, place)
        self._put_prompt(written(place), "what comes changes with it, and with nothing else")
        return spot

    def _put_prompt(self, name: str, evidence: str) -> None:
        sketch, talk = self._sketch, self._talk
        if talk is None:
            style = slots.transcript(dict(leaves(self._body))[self._prompt])
            self._template = changed(self._template, self._prompt, lambda _: "${prompt}")
            if style:
                sketch.learn("request.prompt", style, "by the marks in the command's own prompt")
            self._as_one_text = f"the whole conversation goes in at {name}, as one text"
            sketch.notes.append(self._as_one_text)
            return
        self._messages(talk, f"messages go in at {name}: {evidence}")

    def _messages(self, talk: slots.Talk, evidence: str) -> None:
        self._template = changed(self._template, talk.path, lambda _: "${messages}")
        self._sketch.learn("request.message", _escaped_but(talk), evidence)

    async def _history(self) -> slots.Talk | None:
        """See what becomes of earlier messages that the body has beside the prompt.

        Returns:
            The list that takes them; None if there is none.
        """
        body, notes = self._body, self._sketch.notes
        for listed in slots.talks(body):
            talk = listed.as_history()
            if slots.role_of(talk.user) != "user" and talk.path not in slots.histories(body):
                continue  # documents, say, and where they are from
            bot = (talk.others("assistant") or [_like("assistant", talk.user)])[0]
            turns = [(talk.user, "Say hello."), (bot, "Hello.")]
            if await self._said(talk.put(self._asking(_COUNT), *turns)):
                self._template = changed(self._template, self._prompt, lambda _: "${last}")
                notes.remove(self._as_one_text)
                self._messages(talk, f"the last message goes in at {written(self._prompt)}")
                self._earlier = talk
                return talk
        for path in slots.histories(body):
            name = written(path)
            if await self._said(changed(self._asking(_COUNT), path, lambda _: [])):
                self._template = changed(self._template, path, lambda _: [])
                notes.append(f"what the command has at {name} is left out: it was said to others")
            else:
                notes.append(f"{name} is sent as the command has it: without it, it is refused")
        return None

    # The answer.

    async def _answers(self, spot: Spot) -> None:
        body = await self._sender.send(self._asking(_COUNT))
        said = heard(body) if self._sender.works(body) else None
        if said is None:
            raise LoadError(f"the server does not go on answering: {self._sender.why(body)}")
        spot = said.saying(_COUNTED, _COUNT) or spot  # of several pieces, which tells more
        self._path, paths = spot.path, [written(spot.path)]
        if flag := next(iter(slots.flags(self._body)), None):
            said, paths = await self._flag(flag, said, paths)
        if said.unread:
            raise LoadError(
                f"what comes is of the framing {said.framing!r}, but no JSON stands in it; an "
                "endpoint file reads JSON there: for this server, wrap a function with @chat_model"
            )
        counted = said.spots().get(self._path)
        learn = self._sketch.learn
        learn("response.framing", said.framing, f"{len(said.payloads)} payloads came")
        if said.framing == "text":
            return
        learn("response.text", " || ".join(paths), "what was put in came out there")
        if counted is None or len(counted.values) < 2:  # noqa: PLR2004
            if said.framing != "json":
                learn("response.cumulative", None, "only one piece of text came")
        elif counted.cumulative:
            learn("response.cumulative", True, "each piece holds all of the text so far")
        elif counted.values[-1] == "".join(counted.values[:-1]):
            self._sketch.notes.append("the last piece repeats the whole text: it comes twice")
        self._ends(said)

    async def _flag(self, flag: Path, said: Heard, paths: list[str]) -> tuple[Heard, list[str]]:
        """Find out what the body's flag for streams does."""
        question, word = _repeat()
        flipped = changed(self._asking(question), flag, lambda on: not on)
        body = await self._sender.send(flipped)
        name = written(flag)
        if not self._sender.works(body):
            self._sketch.notes.append(f"{name} stays as it was: {self._sender.why(body)}")
            return said, paths
        other = heard(body)
        spot = other.saying(word, question)
        if spot is None or other.framing == said.framing:
            self._sketch.notes.append(f"{name} changes nothing that is seen; it stays as it was")
            return said, paths
        self._template = changed(self._template, flag, lambda _: "${stream}")
        if dict(leaves(self._body))[flag]:
            return said, list(dict.fromkeys([*paths, written(spot.path)]))
        streamed = await self._sender.send(changed(self._asking(_COUNT), flag, lambda _: True))
        self._path = spot.path
        return heard(streamed), list(dict.fromkeys([written(spot.path), *paths]))

    def _ends(self, said: Heard) -> None:
        learn, text = self._sketch.learn, self._path
        if thoughts := said.reasoning():
            learn("response.reasoning", written(thoughts), "by its name")
        reason = said.finish_reason(text)
        done = said.done()
        if reason:
            learn("response.finish_reason", written(reason), "it tells how the answer ended")
        else:
            learn("response.finish_reason", None, "nothing that came reads as one")
        if done and done != reason:
            learn("response.done", written(done), "it becomes true at the end")
        if said.marker and said.marker != "[DONE]":
            learn("response.done_marker", said.marker, "it came last, and is no JSON")
        if said.framing in {"ndjson", "sse"} and not (reason or done or said.marker):
            learn("quirks.ends", False, "nothing marks the end of an answer")
        if usage := said.usage():
            learn("response.usage", usage, "by their names")
        else:
            learn("response.usage", None, "no counts of tokens came")

    async def _error(self) -> None:
        """Find where failures are told that come with the status 200: an empty body gets one."""
        body = await self._sender.send({} if isinstance(self._body, dict) else [])
        if not body.is_fine or self._sender.works(body):
            return
        for path, value in leaves(heard(body).payloads[0]):
            if path[:1] and isinstance(value, str) and str(path[0]).lower() in {"error", "errors"}:
                self._sketch.learn("response.error", str(path[0]), "an empty body gets it")
                return

    # Roles, and the rest of the body.

    async def _roles(self, talk: slots.Talk) -> None:
        roles = {} if talk.user == "user" else {"user": talk.user}
        hello, again = (talk.user, "Say hello."), (talk.user, "Again.")
        usual = [_like(each, talk.user) for each in slots.ASSISTANTS]
        name, refused = await self._taken(
            talk, "assistant", usual, lambda name: [hello, (name, "Hello."), again]
        )
        if not name:
            self._sketch.notes.append(
                "could not be told: the role of earlier answers (request.roles.assistant); "
                f"refused were {refused}"
            )
        elif name != "assistant":
            roles["assistant"] = name
        # Without a place of its own in the conversation, a system message is only tried.
        usual = [_like("system", talk.user)]
        name, refused = await self._taken(
            talk, "system", usual, lambda name: [(name, "Be brief."), hello]
        )
        if not name:
            self._sketch.learn("quirks.system", "user", f"a system role is refused: {refused}")
        elif name != "system":
            roles["system"] = name
        if roles:
            self._sketch.learn("request.roles", roles, "as the command has them, or were taken")

    async def _taken(
        self,
        talk: slots.Talk,
        role: str,
        usual: Sequence[str],
        turns: Callable[[str], Sequence[tuple[str, str]]],
    ) -> tuple[str, str]:
        """Return the name for a role that is taken, or none; and why the first was not.

        Those of the command are tried first, then what usual ones there are, and what a refusal
        offers.
        """
        names = [*talk.others(role), *usual]
        tried: dict[str, str] = {}
        while names and len(tried) < _TRIED:
            name = names.pop(0)
            if name in tried:
                continue
            body = await self._sender.send(talk.put(self._body, *turns(name)))
            if self._sender.works(body):
                return name, ""
            tried[name] = self._sender.why(body)
            quoted = slots.offered(tried[name], name)
            names += [each for each in quoted if slots.role_of(each) == role]
        return "", "; ".join(f"{name!r}: {why}" for name, why in [*tried.items()][:2])

    def _rest(self) -> None:
        """Make parameters of what else in the body looks like some."""
        sketch, parameters = self._sketch, dict[str, Any]()
        if self._key_path:
            self._template = changed(self._template, self._key_path, lambda _: "${key}")
        for path, name, value in slots.numbers(self._body):
            if self._in_talk(path):
                continue
            self._template = changed(self._template, path, _hole(name))
            if name in slots.PARAMETERS.values():
                sketch.fields[name] = value
            else:
                parameters[name] = value
        for path, value in leaves(self._body):
            if not isinstance(value, str) or not path or path == self._prompt:
                continue
            if not self._in_talk(path):
                self._text(path, value)
        if parameters:
            sketch.learn("request.parameters", parameters, "numbers beside the prompt")
        dropped = [written(path) for path, value in leaves(self._body) if value is None]
        if dropped:
            sketch.notes.append(f"null, so that left out: {', '.join(dropped)}")
        self._template = _without_null(self._template)

    def _in_talk(self, path: Path) -> bool:
        """Tell whether a place is in the command's own conversation, which is not sent."""
        return any(
            talk and path[: len(talk.path)] == talk.path for talk in (self._talk, self._earlier)
        )

    def _text(self, path: Path, value: str) -> None:
        name, sketch = str(path[-1]), self._sketch
        if slots.named(name, "model"):
            sketch.model = value
            self._template = changed(self._template, path, lambda _: "${model}")
        elif slots.named(name, "system"):
            self._template = changed(self._template, path, lambda _: "${system}")
            sketch.notes.append(
                f"system messages go in at {written(path)}; the command's own is not in this file"
            )
        elif looks_random(value) and path != self._key_path:
            sketch.notes.append(
                f"{written(path)} is sent as the command has it; if it names a conversation, the "
                "server may mix them up"
            )


def _hole(name: str) -> Callable[[Any], str]:
    return lambda _: f"${{{name}}}"


def _like(name: str, other: str) -> str:
    """Return a name in the case of another one."""
    return name.upper() if other.isupper() else name.title() if other.istitle() else name


def _escaped(value: Any) -> Any:
    """Return a body as a template that stands for itself."""
    if isinstance(value, dict):
        return {key: _escaped(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_escaped(each) for each in value]
    return value.replace("$", "$$") if isinstance(value, str) else value


def _escaped_but(talk: slots.Talk) -> Any:
    """Return the template of a message."""
    made = _escaped(talk.message("", ""))
    made = changed(changed(made, talk.role, lambda _: "${role}"), talk.text, lambda _: "${text}")
    return _without_null(made)


def _without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_null(each) for k, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_without_null(each) for each in value if each is not None]
    return value
