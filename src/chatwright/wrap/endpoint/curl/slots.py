"""The slots of a request's body: where the prompt, the roles and the parameters go in. No I/O."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from chatwright.wrap.endpoint.curl.heard import Path, changed, leaves
from chatwright.wrap.endpoint.curl.secrets import is_secret, looks_random

__all__ = [
    "ASSISTANTS",
    "PARAMETERS",
    "Talk",
    "flags",
    "named",
    "numbers",
    "prompts",
    "talks",
    "transcript",
]

ASSISTANTS: Mapping[str, Sequence[str]] = {
    "user": ("assistant",),
    "human": ("assistant", "ai", "bot"),
}
"""What assistants are called where users have these names, the likeliest first."""
_USERS = frozenset({"user", "human", "customer", "client", "question"})
_OTHERS = frozenset({"assistant", "system", "bot", "ai", "model", "chatbot", "developer", "answer"})
_LIKELY = re.compile(
    r"prompt|query|question|input|text|message|content|instruction|utterance|^q$", re.IGNORECASE
)
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
    """

    path: Path
    messages: Sequence[Any]
    role: Path
    text: Path

    @property
    def user(self) -> str:
        """What users are called."""
        told = [str(dict(leaves(each)).get(self.role)) for each in self.messages]
        return next((each for each in reversed(told) if each.lower() in _USERS), told[-1])

    @property
    def others(self) -> list[str]:
        """What others are called."""
        told = [str(dict(leaves(each)).get(self.role)) for each in self.messages]
        return [each for each in dict.fromkeys(told) if each != self.user]

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
        roles = [
            p for p, v in told[-1].items() if isinstance(v, str) and v.lower() in _USERS | _OTHERS
        ]
        for role in roles:
            texts = [
                (len(value), place)
                for place, value in told[-1].items()
                if isinstance(value, str) and place != role and str(place[-1]) not in {"type", "id"}
            ]
            if texts:
                yield Talk(path, messages, role, max(texts)[1])


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
