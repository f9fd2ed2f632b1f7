"""The slots of a request's body: where the prompt, the roles and the parameters go in. No I/O."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from chatwright.wrap.endpoint.curl.heard import Path, changed, leaves
from chatwright.wrap.endpoint.curl.secrets import is_secret, looks_random

__all__ = [
    "ASSISTANTS",
    "PARAMETERS",
    "SYSTEMS",
    "Talk",
    "flags",
    "histories",
    "named",
    "numbers",
    "offered",
    "prompts",
    "role_of",
    "talks",
    "transcript",
]

ASSISTANTS = ("assistant", "ai", "bot", "model", "agent", "machine")
"""What assistants are called, the likeliest first."""
SYSTEMS = ("system", "instruction", "developer")
"""What the role of system messages is called, the likeliest first."""
_NAMES: Mapping[str, frozenset[str]] = {
    "user": frozenset(
        {
            *("asker", "caller", "client", "customer", "guest", "human", "input", "me", "patient"),
            *("person", "query", "question", "questioner", "student", "user", "visitor"),
        }
    ),
    "assistant": frozenset(
        {
            *ASSISTANTS,
            *("advisor", "answer", "assistantmessage", "chatbot", "chatgpt", "gpt", "helper"),
            *("llm", "operator", "output", "reply", "response", "robot", "teacher", "tutor"),
        }
    ),
    "system": frozenset(
        {*SYSTEMS, "context", "instructions", "preamble", "rules", "setup", "systemprompt"}
    ),
}
"""What roles are called, written small and in one."""
_ROLE_KEYS = re.compile(
    r"^(author|by|from|origin|participant|party|role|sender|side|source|speaker|user_?type|who)$",
    re.IGNORECASE,
)
"""What the key of a role is called, where nobody knows the roles' names."""
_LIKELY = re.compile(
    r"prompt|query|question|input|text|message|content|instruction|utterance|^q$", re.IGNORECASE
)
_HISTORY = re.compile(r"history|past|previous|conversation|dialog|turns|context", re.IGNORECASE)
_STREAM = re.compile(r"stream", re.IGNORECASE)
_CHAT_MARKS = {"<|im_start|>": "chatml", "<|start_header_id|>": "llama3", "[INST]": "mistral"}
PARAMETERS: Mapping[str, str] = {
    "temperature": "temperature",
    "temp": "temperature",
    "maxtokens": "max_tokens",
    "maxnewtokens": "max_tokens",
    "maxoutputtokens": "max_tokens",
    "maxcompletiontokens": "max_tokens",
    "numpredict": "max_tokens",
    "npredict": "max_tokens",
    "maxlength": "max_tokens",
    "topp": "top_p",
    "seed": "seed",
}
"""Parameters that every model has, by the names of servers, written small and in one."""
_NO_PARAMETERS = re.compile(r"id$|time|version|^n$|index|date", re.IGNORECASE)


class Talk(NamedTuple):
    """A list of messages in a body.

    Args:
        path: The list's place.
        messages: Its messages.
        role: The role's place in a message.
        text: The text's place in one.
        asker: What users are called, where that is known.
    """

    path: Path
    messages: Sequence[Any]
    role: Path
    text: Path
    asker: str = ""

    def as_history(self) -> "Talk":
        """Return it as what was said before a prompt: its last message is no user's."""
        told = self._told()
        unknown = role_of(self.user) != "user" and len(told) > 1
        return self._replace(asker=told[-2]) if unknown else self

    @property
    def user(self) -> str:
        """What users are called."""
        if self.asker:
            return self.asker
        told = self._told()
        return next((each for each in reversed(told) if role_of(each) == "user"), told[-1])

    def others(self, role: str) -> list[str]:
        """What is called by a role: by its name, else by where it stands.

        A system message stands first, and an answer behind what users say.

        Args:
            role: `assistant` or `system`.
        """
        told, user = self._told(), self.user
        found = []
        for name in dict.fromkeys(told):
            first = "assistant" if user in told[: told.index(name)] else "system"
            if name != user and (role_of(name) or first) == role:
                found.append(name)
        return found

    def _told(self) -> list[str]:
        return [str(dict(leaves(each)).get(self.role)) for each in self.messages]

    def message(self, role: Any, text: str) -> Any:
        """Return a message as the server has them."""
        last = next(
            e for e in reversed(self.messages) if dict(leaves(e)).get(self.role) == self.user
        )
        return changed(changed(last, self.role, lambda _: role), self.text, lambda _: text)

    def put(self, body: Any, *messages: tuple[str, str]) -> Any:
        """Return a body with other messages."""
        made = [self.message(role, text) for role, text in messages]
        return changed(body, self.path, lambda _: made)


def _lists(value: Any, path: Path = ()) -> Iterator[tuple[Path, list[Any]]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, each in items:
        if isinstance(each, dict | list):
            if isinstance(each, list) and each and all(isinstance(e, dict) for e in each):
                yield (*path, key), each
            yield from _lists(each, (*path, key))


def talks(body: Any) -> Iterator[Talk]:
    """Yield the lists of messages in a body."""
    for path, messages in _lists(body):
        told = [dict(leaves(each)) for each in messages]
        for role in _roles(told[-1]):
            texts = [
                (len(value), place)
                for place, value in told[-1].items()
                if isinstance(value, str) and place != role and str(place[-1]) not in {"type", "id"}
            ]
            if texts:
                yield Talk(path, messages, role, max(texts)[1])


def _roles(message: Mapping[Path, Any]) -> list[Path]:
    """Return the places of what may be a message's role: one with a known name, else by its key."""
    texts = {path: value for path, value in message.items() if isinstance(value, str) and path}
    known = [path for path, value in texts.items() if role_of(value)]
    return known or [
        p for p, v in texts.items() if _ROLE_KEYS.match(str(p[-1])) and v.isidentifier()
    ]


def histories(body: Any) -> list[Path]:
    """Return the places of lists with what was said before, whoever said it in them."""
    return [
        path
        for path, value in _all_lists(body)
        if value and path and _HISTORY.search(str(path[-1]))
    ]


def _all_lists(value: Any, path: Path = ()) -> Iterator[tuple[Path, list[Any]]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, each in items:
        if isinstance(each, list):
            yield (*path, key), each
        elif isinstance(each, dict):
            yield from _all_lists(each, (*path, key))


def role_of(name: str) -> str:
    """Return what LangChain calls a role that a server has its own name for; empty if unknown."""
    own = re.sub(r"[^a-z]", "", name.lower())
    return next((role for role, names in _NAMES.items() if own in names), "")


def offered(refusal: str, tried: str) -> list[str]:
    """Return the words that a refusal quotes: what would have been taken, it may be.

    Args:
        refusal: What the server said.
        tried: What it has refused.
    """
    words = re.findall(r"""['"`]([A-Za-z][\w-]{1,24})\\?['"`]""", refusal)
    return [each for each in dict.fromkeys(words) if each != tried]


def prompts(body: Any) -> list[Path]:
    """Return the places of texts that may be the prompt, the likeliest first."""
    found = []
    for path, value in leaves(body):
        name = str(next((each for each in reversed(path) if isinstance(each, str)), ""))
        if isinstance(value, str) and not named(name, "model") and not is_secret(name, value):
            if looks_random(value) or named(name, "system"):
                continue
            found.append((not _LIKELY.search(name), " " not in value, -len(value), path))
    return [each[-1] for each in sorted(found, key=lambda each: each[:3])]


def flags(body: Any) -> list[Path]:
    """Return the places of what may say whether to stream."""
    return [
        path
        for path, value in leaves(body)
        if isinstance(value, bool) and path and _STREAM.search(str(path[-1]))
    ]


def numbers(body: Any) -> Iterator[tuple[Path, str, int | float]]:
    """Yield the places of numbers that are parameters, with the parameters' names."""
    taken: set[str] = set()
    for path, value in leaves(body):
        if isinstance(value, bool) or not isinstance(value, int | float) or not path:
            continue
        own = str(path[-1])
        name = PARAMETERS.get(re.sub(r"[^a-z]", "", own.lower()), own)
        if own.isidentifier() and not _NO_PARAMETERS.search(own) and name not in taken:
            taken.add(name)
            yield path, name, value


def named(name: str, what: str) -> bool:
    """Tell whether a key names the model, or the system message."""
    own = re.sub(r"[^a-z]", "", name.lower())
    known = {
        "model": {"model", "modelname", "modelid", "engine"},
        "system": {"system", "systemprompt", "systemmessage", "preamble", "instructions"},
    }
    return own in known[what]


def transcript(prompt: str) -> str | None:
    """Return how a prompt writes a conversation, where it is written as chat templates do."""
    return next((name for mark, name in _CHAT_MARKS.items() if mark in prompt), None)
