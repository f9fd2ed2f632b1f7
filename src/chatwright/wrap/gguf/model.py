"""`ChatGGUF`: weights on disk as a chat model."""

import contextlib
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path
from typing import Annotated, Any, Self

from langchain_core.language_models import ModelProfile
from pydantic import BeforeValidator, Field, PrivateAttr, model_validator

from chatwright.core.answer import Answer
from chatwright.core.bridge import Pump
from chatwright.errors import ContentError, OutputError, ParameterError
from chatwright.langchain.capabilities import Capabilities, Medium, RolePolicy
from chatwright.langchain.model import ChatModel
from chatwright.langchain.openai import as_openai
from chatwright.langchain.plan import Plan
from chatwright.langchain.render import Summary
from chatwright.langchain.request import Request
from chatwright.langchain.run import Inside
from chatwright.langchain.schemas import bounded
from chatwright.langchain.structured import Method, StructuredOutput
from chatwright.wires.jsonio import loads
from chatwright.wrap.gguf import weights
from chatwright.wrap.gguf.engine import Engine, EngineOptions, library, shared
from chatwright.wrap.gguf.grammar import checked, grammar_of

__all__ = ["ChatGGUF"]

_SAMPLING = (
    "frequency_penalty",
    "grammar",
    "logprobs",
    "max_tokens",
    "min_p",
    "presence_penalty",
    "repeat_penalty",
    "seed",
    "temperature",
    "top_k",
    "top_logprobs",
    "top_p",
)

_ENGINE = (
    "chat_template",
    "lora",
    "mmproj",
    "model_path",
    "n_batch",
    "n_ctx",
    "n_gpu_layers",
    "n_parallel",
    "n_threads",
)

_MODALITIES: tuple[tuple[Medium, str], ...] = (("image", "vision"), ("audio", "audio"))


def _pairs(lora: Any) -> Any:
    """Return adapters as pairs of a path, as str, and a scale."""
    if not isinstance(lora, list | tuple):
        return lora
    named = [(each, 1.0) if isinstance(each, str | Path) else each for each in lora]
    return [(str(path), scale) for path, scale in named]


def _reaches(value: Any, length: int, items: int) -> bool:
    """Tell whether a text in a value has so many characters, or a list so many items."""
    if isinstance(value, str):
        return len(value) >= length
    if isinstance(value, dict):
        return any(_reaches(each, length, items) for each in value.values())
    if isinstance(value, list):
        return len(value) >= items or any(_reaches(each, length, items) for each in value)
    return False


class ChatGGUF(ChatModel):
    """Weights in the GGUF format, run by llama.cpp inside this process.

    The weights are loaded with the first answer, once per process for all models with the same
    engine fields (those from `model_path` to `lora`), and freed with the last of those models.
    Concurrent calls share the engine: up to `n_parallel` answers grow at once, the rest queue.
    `response_metadata["timings"]` holds `first_token_ms`, `queue_ms` and `tokens_per_second`.

    llama.cpp's log goes to the logger `chatwright.llama_cpp`: what it says while it loads; it has
    no hook for more that would not write to stderr too. xllamacpp holds the GIL while weights are
    loaded: other threads and event loops of the process stand still for that time.

    Raises:
        MissingExtraError: The extra `gguf` is not installed (with the first answer).
        WeightsError: The file is missing or no GGUF file; or (with the first answer) llama.cpp
            can't use it.
        PromptTooLongError: A prompt does not fit into `n_ctx` tokens.
        InvalidRequestError: llama.cpp refuses the request, its grammar for example.
        EngineError: llama.cpp failed.
        SourceTimeoutError: `timeout` ran out, queueing included.

    Example:
        ```python
        model = ChatGGUF("smollm2", temperature=0)
        model.invoke([("system", "You are a helpful assistant."), ("human", "Say hello.")])
        ```
    """

    model_path: str
    """Path of a GGUF file; or `hf:owner/repo/file.gguf`; or `smollm2`, whose `temperature` and
    `repeat_penalty` then default to what it answers best with, 0.0 and 1.05. It may also be given
    by position, or as `model`."""
    n_ctx: int = Field(default=4096, ge=16)
    """Context of one answer, prompt included, in tokens."""
    n_parallel: int = Field(default=4, ge=1, le=256)
    """How many answers grow at once. Each slot holds memory for `n_ctx` tokens."""
    n_batch: int | None = Field(default=None, ge=1)
    """Prompt tokens processed in one go; other answers wait meanwhile, and so does a cancel.
    Default None: 512 with a GPU or an `mmproj`, else 128."""
    n_threads: int | None = Field(default=None, ge=1)
    """Threads that compute. Default None: llama.cpp's choice, all cores. Give two sets of weights
    in one process no more than there are cores: together they would be several times slower."""
    n_gpu_layers: int | None = None
    """Layers that the GPU holds. Default None: llama.cpp's choice, as many as fit."""
    chat_template: str | None = None
    """Jinja chat template, or the name of one that llama.cpp knows. Default: the file's own."""
    lora: Annotated[list[tuple[str, float]], BeforeValidator(_pairs)] = Field(default_factory=list)
    """LoRA adapters: paths, or pairs of a path and a scale (default 1.0)."""
    mmproj: str | None = None
    """Path of the multimodal projector, for weights that see or hear; `hf:…` too. Default: none."""
    fetch_urls: bool = False
    """Whether llama.cpp may fetch media that a message names by URL. Default: such are refused."""

    top_k: int | None = None
    """Sample from the so many likeliest tokens. Default None: llama.cpp's, 40."""
    min_p: float | None = None
    """Leave out tokens below this share of the likeliest one's probability. Default: 0.05."""
    repeat_penalty: float | None = None
    """Penalty on repeated tokens; 1.0 is none. Default None: llama.cpp's, 1.0."""
    presence_penalty: float | None = None
    """Penalty on tokens that have occurred; 0.0 is none. Default None: llama.cpp's, 0.0."""
    frequency_penalty: float | None = None
    """Penalty by how often a token has occurred; 0.0 is none. Default: llama.cpp's, 0.0."""
    grammar: str | None = None
    """A GBNF grammar that the answer follows. Default None: no grammar."""

    logprobs: bool | None = None
    """Whether `response_metadata["logprobs"]` tells how likely each token was, as OpenAI's does."""
    top_logprobs: int | None = Field(default=None, ge=0)
    """How many of the likeliest tokens it tells at each place. Default None: none."""

    accepts = frozenset({"chat_template_kwargs", "json_schema", "logit_bias", "repeat_last_n"})
    fixed = ChatModel.fixed | {*_ENGINE}
    has_prices = False  # weights on one's own disk cost what their owner says

    _engine: Engine | None = PrivateAttr(default=None)
    _engine_named: tuple[str, ...] = PrivateAttr(default=())

    def __init__(self, model_path: str | PathLike[str] | None = None, **fields: Any) -> None:
        """Take the weights by position, too, or as `model`."""
        super().__init__(**({} if model_path is None else {"model_path": model_path}), **fields)

    @model_validator(mode="before")
    @classmethod
    def _find_advice(cls, values: Any) -> Any:
        """Take `model` for the weights, if nothing else names them; sample them as is advised."""
        if not isinstance(values, dict):
            return values
        if "model_path" not in values and "model" in values:
            values = {"model_path": values["model"], **values}
            del values["model"]
        path = values.get("model_path", cls.model_fields["model_path"].default)
        if isinstance(path, PathLike):
            values = {**values, "model_path": fspath(path)}
        named = weights.NAMED.get(path) if isinstance(path, str) else None
        if named is None:
            return values
        advice = named.sampling.items()
        unset = {name: value for name, value in advice if cls.model_fields[name].default is None}
        return {**unset, **values}

    @model_validator(mode="after")
    def _take_the_engine(self) -> Self:
        """Hold the engine from the start: a model made per call would free it with each call."""
        _ = self.engine
        return self

    @property
    def engine(self) -> Engine:
        """The engine that these fields name; loaded with the first request."""
        named = tuple(repr(getattr(self, name)) for name in _ENGINE)
        if self._engine is None or self._engine_named != named:
            self._engine = shared(self._options())
            self._engine_named = named
        return self._engine

    def _options(self) -> EngineOptions:
        for path, _ in self.lora:
            weights.check(Path(path))
        return EngineOptions(
            path=str(weights.find(self.model_path).resolve()),
            n_ctx=self.n_ctx,
            n_parallel=self.n_parallel,
            n_batch=self.n_batch,
            n_threads=self.n_threads,
            n_gpu_layers=self.n_gpu_layers,
            chat_template=self.chat_template,
            lora=tuple(self.lora),
            mmproj=None if self.mmproj is None else str(weights.find(self.mmproj).resolve()),
        )

    @property
    def queue_size(self) -> int:
        """How many requests wait for a slot of the engine."""
        return self.engine.queue_size

    def reply(self, request: Request) -> Pump:
        """Have llama.cpp answer."""
        body = {
            **self._body(request),
            "stream": True,
            "stream_options": {"include_usage": True},
            "return_progress": True,  # a closed channel is seen while the prompt is processed
            "timings_per_token": bool(request.stop),
        }
        return self.engine.chat(body, timeout=self.timeout, report=bool(request.stop))

    def explained(self, request: Request) -> dict[str, Any]:
        """Return llama.cpp's chat completion request, and the `prompt` that its template makes."""
        body = {"model": self.model_name, **self._body(request)}
        if request.stop:
            body["stop"] = [*request.stop]
        return {**body, "prompt": self.engine.render(body)}

    def _body(self, request: Request) -> dict[str, Any]:
        """Return llama.cpp's chat completion request, but for what says how to stream."""
        body: dict[str, Any] = {
            "messages": as_openai(request.messages),
            **request.parameters,
            **{name: value for name in _SAMPLING if (value := getattr(self, name)) is not None},
        }
        for name in ("tools", "tool_choice"):
            if (value := getattr(request, name)) is not None:
                body[name] = value
        if grammar := self._grammar(request, body.pop("json_schema", None)):
            body["grammar"] = grammar
        return body

    def _grammar(self, request: Request, schema: Any) -> str | None:
        """Return what holds the answer: to a format, to llama.cpp's `json_schema`, or the user's.

        Raises:
            ParameterError: There are two of them.
        """
        wanted = request.response_format
        if wanted is None and schema is not None:
            wanted, schema = {"type": "json_object", "schema": schema}, None
        if wanted is None:
            return checked(self.grammar, library()) if self.grammar else None
        if self.grammar or schema is not None:
            raise ParameterError(
                "grammar, json_schema, and response_format or a forced call exclude each other: an "
                "answer follows one"
            )
        return grammar_of(wanted, library())

    def replies_async(self) -> bool:
        """Say that `reply` never blocks: llama.cpp pushes from a thread of its own."""
        return True

    def plan(self, request: Request, can: Capabilities | None = None) -> Plan:
        """Return how the call is carried out; the chat template has its say in it."""
        _ = self.engine.properties
        can = can or self.capabilities()
        if request.response_format is not None:  # llama.cpp parses calls or follows a grammar
            can = replace(can, tools=False)
        made = super().plan(request, can)
        if not self.fetch_urls:
            self._refuse_urls(made.request)
        return self._fitting(made) if made.begun else made

    def _fitting(self, made: Plan) -> Plan:
        """Bound the texts of a forced call, so that it is complete before its tokens run out.

        A small LLM can lose itself in a text that nothing ends; a character takes a token at most
        in most languages, and half of the tokens are left for the rest of the call. Where a bound
        is reached, `response_metadata["bounded"]` says so.
        """
        wanted = bounded(made.request.response_format, *self._bounds())
        return made._replace(request=replace(made.request, response_format=wanted))

    def _bounds(self) -> tuple[int, int]:
        """Return the most characters and items that a text and a list of a forced call may have."""
        length = max(16, (self.max_tokens or self.n_ctx // 2) // 2)
        return length, max(5, length // 16)

    def summarize(self, request: Request, answer: Answer, inside: Inside) -> Summary:
        """Return what `ChatModel` does, and whether a forced call has reached a bound."""
        summary = super().summarize(request, answer, inside)
        if request.response_format is None or not answer.called:
            return summary
        with contextlib.suppress(OutputError):  # a call that can't be read tells that itself
            if _reaches(loads("".join(answer.calls[1::2])), *self._bounds()):
                told = {**summary.response_metadata, "bounded": True}
                return replace(summary, response_metadata=told)
        return summary

    def _refuse_urls(self, request: Request) -> None:
        """Raise for media that llama.cpp would fetch.

        Raises:
            ContentError: There is such a block.
        """
        for message in request.messages:
            for block in message.content if isinstance(message.content, list) else ():
                if isinstance(block, dict) and (url := block.get("url")):
                    raise ContentError(
                        f"{self.model_name} fetches nothing unless fetch_urls=True; give the "
                        f"content of {url!r} as base64"
                    )

    def plans_slowly(self) -> bool:
        """Tell whether the weights have yet to be loaded, or to be asked about."""
        return not self.engine.known

    def with_structured_output(
        self, schema: Any, *, method: Method | None = None, **kwargs: Any
    ) -> StructuredOutput:
        """Do what `ChatModel` does; a grammar for the schema is the better `json_mode`, too."""
        method = "json_schema" if method == "json_mode" else method
        return super().with_structured_output(schema, method=method, **kwargs)

    def capabilities(self) -> Capabilities:
        """Return what llama.cpp can do with these weights; before they are loaded, at least.

        Whatever the template, llama.cpp constrains an answer to a schema by a grammar. That is
        also how a call is forced: its `tool_choice` is dropped where the template knows no tools.
        """
        known = self.engine.properties if self.engine.loaded else {}
        template = known.get("chat_template_caps", {})
        modalities = known.get("modalities", {})
        return Capabilities(
            tools=bool(template.get("supports_tools") and template.get("supports_tool_calls")),
            response_format=True,
            schema_in_prompt=True,
            inputs=frozenset(ours for ours, theirs in _MODALITIES if modalities.get(theirs)),
            roles=RolePolicy(
                system="first" if template.get("supports_system_role", True) else "user",
                developer="system",
            ),
        )

    def known_template(self) -> str:
        """Return the weights' chat template; loads them."""
        return str(self.engine.properties.get("chat_template", ""))

    def reads_config(self) -> bool:
        """Say that answers depend on fields and parameters only."""
        return False

    def source_name(self) -> str:
        """Return the model's name, for errors."""
        return self.model_name

    def get_token_ids(self, text: str) -> list[int]:
        """Return the token ids by the model's own tokenizer; loads the weights.

        Raises:
            EngineError: llama.cpp refused.
        """
        return self.engine.tokenize(text)

    def _default_model_name(self) -> str:
        named = self.model_path in weights.NAMED
        return self.model_path if named else Path(self.model_path).stem

    def _resolve_model_profile(self) -> ModelProfile:
        return {**super()._resolve_model_profile(), "max_input_tokens": self.n_ctx}
