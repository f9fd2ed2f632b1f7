"""`chatwright chat`: talk with any chat model."""

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatwright.cli import app, handled
from chatwright.cli.options import MaxTokens, Stop, System, Temperature, import_from_here
from chatwright.cli.streams import is_terminal, read_piped, say

if TYPE_CHECKING:
    from langchain_core.messages import AIMessageChunk
    from rich.console import Console

    from chatwright import ChatModel
    from chatwright.run.conversation import Conversation, Took

__all__ = ["chat", "loaded"]

HELP = """\
/system TEXT  set the system message (without TEXT: show it)
/reset        forget the conversation
/retry        have the last question answered anew
/save FILE    write the conversation to a JSON file
/help         show this
/exit         leave, as Ctrl-D does; Ctrl-C stops an answer"""


@app.command("chat")
@handled
def chat(
    prompt: Annotated[
        str | None,
        typer.Argument(help="What to say. Piped input is appended. Without it: a conversation."),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", help="smollm2, gguf:PATH, hf:…, FILE.toml, http://…, MODULE:ATTRIBUTE."
        ),
    ] = "smollm2",
    system: System = "You are a helpful assistant.",
    stop: Stop = None,
    temperature: Temperature = None,
    max_tokens: MaxTokens = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the answer as one JSON object.")
    ] = False,
    record: Annotated[
        Path | None,
        typer.Option(help="Keep what is asked and answered in this cassette, to be replayed."),
    ] = None,
) -> int:
    """Talk with a chat model."""
    question = "\n\n".join(part for part in (prompt, read_piped()) if part)
    if not question and (as_json or not is_terminal()):
        typer.echo("chatwright: there is nothing to say; give a PROMPT or pipe one in", err=True)
        return 2
    sys.stdout.write("")  # where it is closed, nothing is asked
    given = {"temperature": temperature, "max_tokens": max_tokens}
    found = loaded(model)
    conversation = _conversation(_recorded(found, record), system, stop, given)
    if as_json:
        return _print_json(conversation, question)
    screen = _screen()
    if question:
        screen.show(conversation.ask(question), conversation)
        return 0
    typer.echo(_opening(found, model))
    return _converse(conversation, screen)


def _conversation(
    model: "ChatModel", system: str | None, stop: list[str] | None, given: dict[str, Any]
) -> "Conversation":
    from chatwright.run.conversation import Conversation  # noqa: PLC0415  slow to import

    parameters = {name: value for name, value in given.items() if value is not None}
    return Conversation(model, system or None, parameters, stop or None)


def _recorded(model: "ChatModel", cassette: Path | None) -> "ChatModel":
    """Return the model, recorded if that is wanted: each question is asked, also a known one."""
    from chatwright.wrap.recording.model import recorded  # noqa: PLC0415  slow to import

    return model if cassette is None else recorded(model, cassette, mode="all")


def loaded(model: str) -> "ChatModel":
    """Return the model that a string names, also from the working directory."""
    from chatwright.wrap.gguf import ChatGGUF  # noqa: PLC0415  slow to import
    from chatwright.wrap.load import load  # noqa: PLC0415  slow to import

    import_from_here()
    found = load(model)
    if isinstance(found, ChatGGUF):
        found.n_parallel = 1  # one person talks: one slot, a quarter of the memory
        found.max_tokens = found.max_tokens or 1024  # a small model may never stop
    return found


def _opening(found: "ChatModel", named: str) -> str:
    """Return the model's name and where it comes from."""
    from chatwright.wrap.endpoint.model import ChatEndpoint  # noqa: PLC0415  slow to import
    from chatwright.wrap.gguf import ChatGGUF, weights  # noqa: PLC0415  slow to import

    if isinstance(found, ChatGGUF):
        named = str(weights.find(found.model_path))
    elif isinstance(found, ChatEndpoint):
        named = found.base_url
    return f"{found.model_name}, from {named}"


def _print_json(conversation: "Conversation", question: str) -> int:
    for _ in _guarded(conversation.ask(question)):
        pass
    answer, took = conversation.turns[-1], conversation.took
    shown = {
        "text": answer.text,
        "model": answer.response_metadata.get("model_name"),
        "finish_reason": answer.response_metadata.get("finish_reason"),
        "usage": getattr(answer, "usage_metadata", None),
        "first_token_seconds": took.first_token,
        "tokens_per_second": took.tokens_per_second,
        "cost": took.cost,
    }
    say(json.dumps(shown, ensure_ascii=False), "json")
    return 0


class _Pipe:
    """Plain text, as it comes."""

    def show(self, chunks: "Iterator[AIMessageChunk]", conversation: "Conversation") -> None:
        del conversation
        for chunk in _guarded(chunks):
            sys.stdout.write(chunk.text)
            sys.stdout.flush()
        sys.stdout.write("\n")
        sys.stdout.flush()


class _Terminal:
    """Markdown that grows, and a dim line below it."""

    def __init__(self, console: "Console") -> None:
        self.console = console

    def show(self, chunks: "Iterator[AIMessageChunk]", conversation: "Conversation") -> None:
        from rich.live import Live  # noqa: PLC0415  slow to import
        from rich.markdown import Markdown  # noqa: PLC0415  slow to import

        text = ""
        try:
            # What does not fit on the screen is cropped while it grows, and printed at the end.
            with Live(console=self.console, refresh_per_second=12, transient=True) as live:
                for chunk in _guarded(chunks):
                    text += chunk.text
                    live.update(Markdown(text))
        finally:
            self.console.print(Markdown(text))
        self.console.print(_footer(conversation.took), style="dim", highlight=False)


def _guarded(chunks: "Iterator[AIMessageChunk]") -> "Iterator[AIMessageChunk]":
    """Pass the answer on; whatever the model raises is an expected error here, and no bug of ours.

    Raises:
        SourceError: The model failed.
    """
    from langchain_core.exceptions import LangChainException  # noqa: PLC0415  slow to import

    from chatwright.errors import ChatwrightError, SourceError  # noqa: PLC0415  slow to import

    with contextlib.closing(chunks):  # type: ignore[type-var]  # both are generators
        try:
            yield from chunks
        except (ChatwrightError, LangChainException):
            raise
        except Exception as error:
            raise SourceError(f"{type(error).__name__}: {error}") from error


def _footer(took: "Took") -> str:
    parts = []
    if took.first_token is not None:
        parts.append(f"first token {took.first_token:.2f} s")
    if took.tokens_per_second is not None:
        parts.append(f"{took.tokens_per_second:.0f} tokens/s")
    if took.cost is not None:
        parts.append(f"{took.cost['total']:.6f} {took.cost['currency']}")
    return " · ".join(parts)


def _screen() -> _Pipe | _Terminal:
    if not sys.stdout.isatty():
        return _Pipe()
    from rich.console import Console  # noqa: PLC0415  slow to import

    return _Terminal(Console())


def _converse(conversation: "Conversation", screen: _Pipe | _Terminal) -> int:
    """Take one line after the other until the end of input."""
    with _line_editing():
        typer.echo("/help shows the commands, Ctrl-D leaves.")
        while True:
            try:
                line = input("> ").strip()
            except EOFError:
                typer.echo()
                return 0
            except KeyboardInterrupt:
                typer.echo()
                continue
            except UnicodeDecodeError as error:
                typer.echo(f"chatwright: {error}", err=True)
                continue
            if line in {"/exit", "/quit"}:
                return 0
            if line:
                _take(line, conversation, screen)


def _take(line: str, conversation: "Conversation", screen: _Pipe | _Terminal) -> None:
    """Answer one line; whatever goes wrong, the conversation goes on."""
    from langchain_core.exceptions import LangChainException  # noqa: PLC0415  slow to import

    from chatwright.errors import ChatwrightError  # noqa: PLC0415  slow to import

    try:
        if line.startswith("/"):
            _obey(line, conversation, screen)
        else:
            screen.show(conversation.ask(line), conversation)
    except KeyboardInterrupt:
        typer.echo("\n(stopped)")
    except (ChatwrightError, LangChainException, OSError, ValueError) as error:
        typer.echo(f"chatwright: {error}", err=True)


def _obey(line: str, conversation: "Conversation", screen: _Pipe | _Terminal) -> None:
    command, _, argument = line.partition(" ")
    argument = argument.strip()
    if command == "/help":
        typer.echo(HELP)
    elif command == "/reset":
        conversation.reset()
    elif command == "/retry":
        screen.show(conversation.retry(), conversation)
    elif command == "/system":
        if argument:
            conversation.system = argument
        typer.echo(conversation.system or "(no system message)")
    elif command == "/save" and argument:
        path = Path(argument).expanduser()
        conversation.save(path)
        typer.echo(f"saved to {path}")
    else:
        raise ValueError(f"{line!r} is no command; /help shows them")


@contextlib.contextmanager
def _line_editing() -> Iterator[None]:
    """Edit lines as the shell does, and remember them from one time to the next."""
    if sys.platform == "win32":
        yield
        return
    try:
        import readline  # noqa: PLC0415  not on every platform
    except ImportError:
        yield
        return
    from platformdirs import user_state_path  # noqa: PLC0415  only for conversations

    history = user_state_path("chatwright", appauthor=False) / "history"
    with contextlib.suppress(OSError):
        history.parent.mkdir(parents=True, exist_ok=True)
        readline.read_history_file(history)
    try:
        yield
    finally:
        readline.set_history_length(1000)
        with contextlib.suppress(OSError):
            readline.write_history_file(history)
