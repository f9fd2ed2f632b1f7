"""`load`: one string names any model."""

import importlib
import importlib.util
import shlex
from typing import Any, Literal, overload

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable

from chatwright.core.plugins import MODELS, Plugin, plugins, registered, tried
from chatwright.errors import LoadError
from chatwright.langchain.model import ChatModel
from chatwright.wrap.command import ChatCommand
from chatwright.wrap.endpoint.file import endpoint_file
from chatwright.wrap.endpoint.model import ChatEndpoint
from chatwright.wrap.function import chat_model
from chatwright.wrap.gguf import ChatGGUF, weights

__all__ = ["attribute", "load"]

FORMS = (
    "smollm2, gguf:PATH, hf:OWNER/REPO/FILE.gguf, http://HOST/v1#MODEL, FILE.toml, acp:COMMAND, "
    "or MODULE:ATTRIBUTE"
)


@overload
def load(model: str, /, *, raw: Literal[False] = False, **fields: Any) -> ChatModel: ...
@overload
def load(model: str, /, *, raw: Literal[True], **fields: Any) -> Any: ...
def load(model: str, /, *, raw: bool = False, **fields: Any) -> Any:
    """Return the chat model that a string names.

    Args:
        model: `smollm2`; a name that an installed package has registered (its entry point in
            `chatwright.models`); `gguf:weights.gguf`, or just a path that ends in `.gguf`;
            `hf:owner/repo/file.gguf`; `http://host:8000/v1#model-name`, a server that speaks
            OpenAI's wire; `acme.toml`, an endpoint file; `acp:gemini --experimental-acp`, the
            command of an agent, which no shell is asked to run; or `package.module:attribute`,
            where the attribute is a chat model of any make, a class of chat models, a function that
            takes `messages`, a chain, or a compiled graph: whatever `chat_model` takes.
        raw: Whether `package.module:attribute` gives the object itself, as it is.
        **fields: The model's fields, such as `temperature`; the attribute's own, where it is a
            class.

    Returns:
        A `ChatModel`, unless `raw`.

    Raises:
        DefinitionError: The attribute is a function, a chain or a graph that can't be a chat model.
        LoadError: The string names nothing that can be loaded.
        WeightsError: The weights are missing or no GGUF file.
        MissingExtraError: An optional dependency is not installed.
        pydantic.ValidationError: A field that does not exist, or a value that it does not take.
    """
    if model.startswith("acp:"):
        return ChatCommand(_split(model), protocol="acp", **fields)
    if model in weights.NAMED or model.startswith("hf:") or model.endswith(".gguf"):
        return ChatGGUF(model_path=model.removeprefix("gguf:"), **fields)
    if model.startswith("gguf:"):
        return ChatGGUF(model_path=model.removeprefix("gguf:"), **fields)
    if model.endswith(".toml"):
        return endpoint_file(model, **fields)
    if model.startswith(("http://", "https://")):
        return ChatEndpoint(base_url=model, **fields)
    found = attribute(model)
    if found is None:
        found = _registered(model)
    if found is None:
        names = [each.name for each in plugins(MODELS)]
        raise LoadError(f"{model!r} names no model; it can be {', '.join([*names, FORMS])}")
    if raw and not fields:
        return found
    return _made(model, found, fields, raw=raw)


def _split(model: str) -> list[str]:
    """Return the command in `acp:COMMAND`.

    Raises:
        LoadError: There is none, or a quote is open.
    """
    try:
        command = shlex.split(model.removeprefix("acp:"))
    except ValueError as error:
        raise LoadError(f"{model!r} can't be split into a command's arguments: {error}") from None
    if not command:
        raise LoadError(
            f"{model!r} names no command; acp:COMMAND is an agent's, with its arguments"
        )
    return command


def attribute(model: str) -> Any:
    """Return what `package.module:attribute` names; None for a string of another form.

    Raises:
        LoadError: It is not there.
    """
    module, separator, path = model.partition(":")
    if not separator or not module or not path or _is_other(model):
        return None
    try:
        found: Any = importlib.import_module(module)
    except ImportError as error:
        raise LoadError(f"can't import {module!r} for {model!r}: {error}") from error
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError as error:
            raise LoadError(f"{model!r} is not there: {error}") from error
    return found


def _registered(name: str) -> Any:
    """Return the model that an installed package has registered by a name; None if none has.

    Raises:
        LoadError: Several packages have, or it is broken.
    """
    try:
        return registered(MODELS, name)
    except ValueError as error:
        raise LoadError(str(error)) from error


def _is_other(model: str) -> bool:
    starts = ("acp:", "gguf:", "hf:", "http://", "https://")
    return model.startswith(starts) or model.endswith((".gguf", ".toml"))


def _made(model: str, found: Any, fields: dict[str, Any], *, raw: bool) -> Any:
    if isinstance(found, type) and issubclass(found, BaseChatModel):
        made = found(**fields)
        return made if raw else chat_model(made)
    if isinstance(found, ChatModel) and fields:
        given = {name: getattr(found, name) for name in found.model_fields_set}
        return type(found)(**{**given, **fields})
    if isinstance(found, Runnable) or (callable(found) and not isinstance(found, type)):
        return chat_model(found, **fields)
    raise LoadError(
        f"{model!r} is {found!r}: no chat model, no class of chat models, no chain, no compiled "
        "graph and no function"
    )


def available() -> list[tuple[str, str, str]]:
    """Return what can be loaded here: the string to load it by, what it is, and its state."""
    return [
        (name, each.about, "installed" if weights.has(name) else f"pull {name}")
        for name, each in weights.NAMED.items()
    ] + [
        ("gguf:PATH", "any GGUF file, by llama.cpp", _state("xllamacpp", "gguf")),
        (
            "hf:OWNER/REPO/FILE.gguf",
            "a file of Hugging Face's hub",
            _state("huggingface_hub", "hub"),
        ),
        ("http://HOST/v1#MODEL", "a server that speaks OpenAI's wire", "ready"),
        ("FILE.toml", "an endpoint file, as `chatwright probe` writes them", "ready"),
        ("acp:COMMAND", "an agent: the Agent Client Protocol", _state("acp", "acp")),
        ("MODULE:ATTRIBUTE", "a chat model, a function, a chain or an agent", "ready"),
        *(
            (each.name, f"{each.target}, of {each.origin}", _works(each, broken))
            for each, broken in tried(MODELS)
        ),
    ]


def _works(plugin: Plugin, broken: str) -> str:
    if plugin.name in weights.NAMED:
        return "hidden"  # ours come first
    return f"broken: {broken}" if broken else "ready"


def _state(module: str, extra: str) -> str:
    return "ready" if importlib.util.find_spec(module) else f"needs [{extra}]"
