"""`probe_curl`: from a curl command that works to an endpoint file that does."""

import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path as File
from typing import Any, NamedTuple

from chatwright.errors import LoadError, SourceError
from chatwright.langchain.request import Request
from chatwright.wires import WIRES
from chatwright.wires.wire import Written
from chatwright.wrap.endpoint.asking import SECONDS, Asker, Body
from chatwright.wrap.endpoint.curl.command import Command, command
from chatwright.wrap.endpoint.curl.heard import heard, leaves
from chatwright.wrap.endpoint.curl.marks import Marks
from chatwright.wrap.endpoint.curl.secrets import Secrets, is_key, is_secret
from chatwright.wrap.endpoint.curl.sketch import Sketch
from chatwright.wrap.endpoint.curl.slots import PARAMETERS
from chatwright.wrap.endpoint.encoding import encoded
from chatwright.wrap.endpoint.file import endpoint_file
from chatwright.wrap.endpoint.findings import Findings
from chatwright.wrap.endpoint.model import ChatEndpoint
from chatwright.wrap.endpoint.probe import probe
from chatwright.wrap.failure import failure
from chatwright.wrap.reports import is_report, words_in

__all__ = ["Learned", "probe_curl", "says_hello"]

_OURS = frozenset(
    {
        *("accept-encoding", "connection", "content-length", "expect", "host"),
        *("transfer-encoding", "proxy-connection"),
    }
)
"""Headers that every client sets for itself."""
_BROWSERS = re.compile(
    r"(sec-|if-|x-requested-with|accept-language|user-agent|origin|referer|dnt|priority|pragma"
    r"|cache-control|te$|upgrade-insecure-requests|cookie|accept$)"
)
"""Headers that a browser sends, and that few servers look at."""
_WRITTEN = frozenset(
    {
        *("format", "input", "instructions", "max_completion_tokens", "max_output_tokens"),
        *("messages", "model", "options", "response_format", "stop", "stop_sequences", "stream"),
        *("stream_options", "system", "text", "tool_choice", "tools", *PARAMETERS.values()),
    }
)
"""What the wires write of their own in a body."""


def _own_headers(asked: Command) -> dict[str, str]:
    """Return the headers of a command that a model does not send by itself."""
    written = Written("", asked.body, {}, encoding=asked.encoding)
    ours = _bare(encoded(written).content_type)
    return {
        name: value
        for name, value in asked.headers.items()
        if value and name not in _OURS and (name != "content-type" or _bare(value) != ours)
    }


def _bare(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


class Learned(NamedTuple):
    """What a command has taught.

    Args:
        file: The endpoint file.
        environment: The environment variables that it wants, and their values: secrets.
    """

    file: Findings | Sketch
    environment: Mapping[str, str]


async def probe_curl(
    text: str,
    *,
    environment: Mapping[str, str] | None = None,
    tell: Callable[[str], object] = lambda _: None,
) -> Learned:
    """Find out by a curl command how a server is spoken to; it is sent to no other one.

    It is sent as it is; then with marks in it, to find where a prompt goes in and where text comes
    out. What speaks OpenAI's wire, Anthropic's, Ollama's or OpenAI's Responses is probed as that.

    Args:
        text: The command.
        environment: What variables in it stand for. Default: the process's own.
        tell: Is told what is being tried.

    Raises:
        LoadError: It is no curl command, does not work, or can't be made an endpoint file.
        SourceError: The server can't be reached, or stays busy.
    """
    asked = command(text, environment)
    secrets = Secrets(asked.url, asked.variables)
    learner = _Learner(asked, secrets)
    tell("the command as it is")
    body = await learner.begin()
    if wire := learner.native(body):
        return Learned(await learner.as_native(wire, tell), secrets.environment)
    return Learned(await learner.as_described(tell), secrets.environment)


def says_hello(path: str | File, environment: Mapping[str, str]) -> str:
    """Load an endpoint file, ask it to say hello, as whoever uses it will, and return the answer.

    Args:
        path: The file.
        environment: What the environment variables in it stand for.

    Raises:
        LoadError: Something is wrong with the file.
        SourceError: There is no answer.
    """
    model = endpoint_file(path, environment=environment)
    if "key_env" not in tomllib.loads(File(path).read_text("utf-8")):
        model = model.model_copy(update={"api_key": None})  # CHATWRIGHT_API_KEY is another server's
    return model.invoke("Say hello.").text


class _Learner:
    def __init__(self, asked: Command, secrets: Secrets) -> None:
        self._asked = asked
        self._secrets = secrets
        self._sent = _own_headers(asked)
        self._notes: list[str] = []
        self._ending = "/" if asked.url.count("/") > 3 and asked.url.endswith("/") else ""  # noqa: PLR2004
        self.asker = Asker(
            ChatEndpoint(
                base_url=asked.url,
                headers=self._sent,
                query=asked.query,
                api_key=None,
                max_retries=0,
                **{"timeout": SECONDS, **asked.fields},
            )
        )
        for _, name, value in self._hidden_fields():
            self.asker.mask.add(value)
            secrets.hide(name, value)

    def _hidden_fields(self) -> list[tuple[Any, str, str]]:
        found = []
        for path, value in leaves(self._asked.body):
            name = str(path[-1]) if path else ""
            if isinstance(value, str) and is_key(name, value):
                found.append((path, name, value))
        return found

    async def begin(self) -> Body:
        """Send the command as it is, and again without what only a browser sends.

        Raises:
            LoadError: It does not work.
        """
        body = await self._sending(self._asked.body)
        if not self.works(body):
            raise LoadError(f"the command itself does not work here: {self.why(body)}")
        spare = {name for name in self._sent if _BROWSERS.match(name)}
        if "event-stream" in self._sent.get("accept", "") or "json" in self._sent.get("accept", ""):
            spare -= {"accept"}
        everything = self._sent
        for left in (spare, spare - {"cookie"}, set()):
            self._sent = {name: v for name, v in everything.items() if name not in left}
            self.asker.endpoint = self.asker.endpoint.model_copy(
                update={"headers": ChatEndpoint(self._asked.url, headers=self._sent).headers}
            )
            if not left:
                break
            less = await self.send(self._asked.body)
            if self.works(less) and heard(less).framing == heard(body).framing:
                self._notes.append(f"left out, for it works without: {', '.join(sorted(left))}")
                break
        return body

    async def send(self, body: Any) -> Body:
        """Send the command with another body; some servers break down over what is odd."""
        try:
            return await self._sending(body)
        except SourceError as error:
            return Body(0, str(error).encode(), {})

    async def _sending(self, body: Any) -> Body:
        url = self._asked.url.rstrip("/") + self._ending  # ChatEndpoint has a pasted one cut short
        asked = self._asked
        return await self.asker.send(
            Written(url, body, {}, method=asked.method, encoding=asked.encoding)
        )

    @staticmethod
    def works(body: Body) -> bool:
        """Tell whether a request was answered."""
        return body.is_fine and not any(is_report(each) for each in heard(body).payloads)

    def why(self, body: Body) -> str:
        """Say why one was not."""
        if body.is_fine:
            said = next(filter(is_report, heard(body).payloads))
            return self.asker.mask(words_in(said) or str(said))[:400]
        came = body.came(self._asked.url)
        made = failure(came, body.raw, body.headers, name="the server", mask=self.asker.mask)
        return str(made)

    def native(self, body: Body) -> str:
        """Return the wire that the server speaks; nothing, if it is its own."""
        for name, wire in WIRES.items():
            if (
                wire.path
                and self._asked.url.endswith(wire.path)
                and isinstance(self._asked.body, dict)
                and (self._asked.method, self._asked.encoding) == ("POST", "json")
            ):
                endpoint = self.asker.endpoint.model_copy(update={"wire": name})
                try:
                    if Asker(endpoint).read(endpoint.ask(Request([])), body.raw).text:
                        return name
                except SourceError:
                    continue
        return ""

    async def as_native(self, name: str, tell: Callable[[str], object]) -> Findings:
        """Probe a server that speaks one of the wires."""
        wire, asked = WIRES[name], self._asked
        base = asked.url.removesuffix(wire.path)
        known = {
            PARAMETERS.get(key.replace("_", ""), key): value
            for key, value in asked.body.items()
            if PARAMETERS.get(key.replace("_", "")) and isinstance(value, int | float)
        }
        extra = {k: v for k, v in asked.body.items() if k not in _WRITTEN and k not in known}
        headers = {k: v for k, v in self._sent.items() if k not in map(str.lower, wire.headers)}
        findings = await probe(
            base,
            model=asked.body.get("model"),
            wire=name,
            tell=tell,
            api_key=None,
            headers=headers,
            query=asked.query,
            extra_body=extra,
            **asked.fields,
        )
        # The wire writes its own key; one in another header stays a header.
        own = wire.key_header.lower()
        fits = headers.get(own, "").startswith(wire.key_prefix)
        fields = self._fields(headers, own if fits else "")
        fields.pop("key_header", None)
        fields.pop("key_prefix", None)
        hidden = {path[0]: self._secrets.place(key, v) for path, key, v in self._hidden_fields()}
        if extra:
            fields["extra_body"] = {k: hidden.get(k, v) for k, v in extra.items() if v is not None}
        left = sorted(asked.body.keys() & {"options", "system", "instructions", "stop", "tools"})
        if left:
            self._notes.append(f"not in this file: the command's own {', '.join(left)}")
        findings.fields = {**known, **fields}
        findings.notes = [*self._notes, *self._wanted()]
        return findings

    def _wanted(self) -> list[str]:
        basic = self._sent.get("authorization", "").removeprefix("Basic ")
        return [
            f"wants the environment variable {name}"
            + (": USER:PASSWORD in base64, as -u sends them" if value == basic else "")
            for name, value in self._secrets.environment.items()
        ]

    def _fields(self, headers: Mapping[str, str], own: str | None = None) -> dict[str, Any]:
        """Return the keys of the file for secrets, headers and the network.

        Args:
            headers: What is to be sent.
            own: The header that is the key's. Default: the first that holds a secret.
        """
        fields: dict[str, Any] = {}
        placed: dict[str, str] = {}
        for name, value in headers.items():
            secret = is_secret(name, value)
            if secret and name != "cookie" and own in {None, name}:
                fields["key_env"], fields["key_prefix"] = self._secrets.hide("key", value)
                fields["key_header"] = own = name.title()
            else:
                placed[name.title()] = self._secrets.place(name, value) if secret else value
        if placed:
            fields["headers"] = placed
        if query := self._asked.query:
            fields["query"] = {
                name: self._secrets.place(name, value) if is_secret(name, value) else value
                for name, value in query.items()
            }
        network = dict(self._asked.fields)
        if "proxy" in network:
            network["proxy"] = self._secrets.place("proxy", network["proxy"])
        return fields | network

    async def as_described(self, tell: Callable[[str], object]) -> Sketch:
        """Find out how a server of its own way is spoken to.

        Raises:
            LoadError: Nothing tells where the prompt goes in, or where text comes out.
        """
        sketch = Sketch(self._asked.url.rstrip("/"), notes=self._notes)
        in_body = self._hidden_fields()
        if len(in_body) > 1:
            names = ", ".join(name for _, name, _ in in_body)
            raise LoadError(f"the command's body holds several secrets ({names}); a file has one")
        fields = self._fields(self._sent, "" if in_body else None)
        key: dict[str, Any] = {
            each: fields.pop(each) for each in ("key_header", "key_prefix") if each in fields
        }
        if in_body:
            fields["key_env"], _ = self._secrets.hide(in_body[0][1], in_body[0][2])
            key = {"key_header": "", "key_prefix": ""}
        sketch.fields |= fields
        if self._ending:
            sketch.request["path"] = self._ending
        usual = "GET" if self._asked.encoding == "query" else "POST"
        if self._asked.method != usual:
            sketch.request["method"] = self._asked.method
        if self._asked.encoding != "json":
            sketch.request["encoding"] = self._asked.encoding
        marks = Marks(self, self._asked.body, sketch, key_path=in_body[0][0] if in_body else None)
        await marks.find(tell)
        sketch.request |= key
        sketch.notes += self._wanted()
        sketch.requests = self.asker.requests
        return sketch
