"""Correct chat models, written by hand on langchain_core alone, in several styles.

They speak OpenAI's wire over HTTP. `Full` keeps the whole contract; the others leave things out
honestly. Faults are made of them, see `corpus.py`.
"""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, closing
from typing import Any, ClassVar

import httpx2
from langchain_core.exceptions import ModelConnectionError, ModelError, ModelTimeoutError
from langchain_core.language_models import BaseChatModel
from langchain_core.load import dumpd
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult, LLMResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_core.utils.utils import secret_from_env
from pydantic import ConfigDict, Field, SecretStr, field_validator, model_validator

from faults.structured import structured
from faults.wire import Answer, Events, as_openai, parsed, refused

__all__ = ["CONTROLS", "Full", "NoStreaming", "ProviderStop", "SyncOnly", "TextOnly"]

TLS = ssl.create_default_context()
"""One for all clients: making it takes longer than a call."""
NOT_SENT = {"ls_structured_output_format", "structured_output_format", "stream", "model"}


class Full(BaseChatModel):
    """All of the contract: streaming, native async, tools, structured output, stops included."""

    base_url: str = "https://api.handmade.example/v1"
    auth: SecretStr | None = Field(default=None, exclude=True, repr=False)
    """`user:password`, where the address had them."""
    api_key: SecretStr | None = Field(
        default_factory=secret_from_env("HANDMADE_API_KEY", default=None)
    )
    default_headers: dict[str, SecretStr] | None = Field(default=None, exclude=True, repr=False)
    model_name: str = "handmade-1"
    temperature: float | None = None
    max_tokens: int | None = None
    timeout: float | None = 60.0
    max_retries: int = 2
    stop: list[str] | None = None
    streaming: bool | None = None

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    provider: ClassVar[str] = "handmade"
    reads: ClassVar[type[Answer]] = Answer
    events: ClassVar[type[Events]] = Events
    images: ClassVar[bool] = True

    @model_validator(mode="before")
    @classmethod
    def _take_credentials_out_of_the_address(cls, values: Any) -> Any:
        url = values.get("base_url") if isinstance(values, dict) else None
        if isinstance(url, str) and "@" in url.partition("//")[2].partition("/")[0]:
            scheme, _, rest = url.partition("//")
            auth, _, rest = rest.partition("@")
            return {**values, "base_url": f"{scheme}//{rest}", "auth": auth}
        return values

    @field_validator("stop", mode="before")
    @classmethod
    def _check_stop(cls, stop: Any) -> Any:
        return None if stop is None else cls.checked(stop)

    @model_validator(mode="after")
    def _tell_version(self) -> "Full":
        self._add_version("handmade", "1.0.0")
        return self

    # What LangChain calls.

    def _generate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        answer = self.answer(stop)
        with closing(self.chunks(answer, self.payload(messages, stop, kwargs))) as chunks:
            return self.result(answer, [*chunks])

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        answer = self.answer(stop)
        async with aclosing(self.achunks(answer, self.payload(messages, stop, kwargs))) as chunks:
            return self.result(answer, [each async for each in chunks])

    def _stream(
        self, messages, stop=None, run_manager=None, **kwargs
    ) -> Iterator[ChatGenerationChunk]:
        return self.chunks(self.answer(stop), self.payload(messages, stop, kwargs))

    def _astream(
        self, messages, stop=None, run_manager=None, **kwargs
    ) -> AsyncIterator[ChatGenerationChunk]:
        return self.achunks(self.answer(stop), self.payload(messages, stop, kwargs))

    async def _agenerate_with_cache(self, messages, stop=None, run_manager=None, **kwargs):
        """Do as core does, but end the run of a call that is cancelled, too."""
        try:
            return await super()._agenerate_with_cache(messages, stop, run_manager, **kwargs)
        except asyncio.CancelledError as error:
            if run_manager:
                await run_manager.on_llm_error(error, response=LLMResult(generations=[]))
            raise

    def bind_tools(
        self, tools, *, tool_choice: str | dict | bool | None = None, strict=None, **kwargs
    ):
        made = [self.tool(each, strict) for each in tools]
        if made:
            kwargs["tools"] = made
        if tool_choice is not None and made:
            kwargs["tool_choice"] = self.choice(tool_choice)
        return self.bind(**kwargs)

    def with_structured_output(
        self, schema, *, method="json_schema", include_raw=False, strict=None, **kwargs
    ):
        return structured(
            self, schema, method=method, include_raw=include_raw, strict=strict, **kwargs
        )

    # The parts; faults replace some.

    def tool(self, tool: Any, strict: bool | None) -> dict:
        if isinstance(tool, dict) and not {"function", "name", "title", "properties"} & {*tool}:
            return tool
        made = convert_to_openai_tool(tool, strict=strict)
        if strict is None or "function" not in made:
            return made
        # Core leaves `strict` out where a dict is in OpenAI's form already.
        return {**made, "function": {**made["function"], "strict": strict}}

    def choice(self, choice: Any) -> Any:
        if choice is True or choice == "any":
            return "required"
        if isinstance(choice, str) and choice not in {"auto", "none", "required"}:
            return {"type": "function", "function": {"name": choice}}
        return choice

    @classmethod
    def checked(cls, stop: Any) -> list[str]:
        stops = [stop] if isinstance(stop, str) else list(stop)
        if not all(stops):
            raise ValueError(f"a stop sequence can't be empty: stop={stops!r}")
        return stops

    def stops(self, stop: list[str] | None) -> list[str]:
        return self.checked((self.stop or []) if stop is None else stop)

    def answer(self, stop: list[str] | None) -> Answer:
        return self.reads(self.model_name, self.provider, self.stops(stop))

    def payload(self, messages: Any, stop: list[str] | None, kwargs: dict) -> dict:
        fields = {"temperature": self.temperature, "max_tokens": self.max_tokens}
        given = {name: value for name, value in kwargs.items() if name not in NOT_SENT}
        return {
            "model": kwargs.get("model", self.model_name),
            "messages": as_openai(messages, images=self.images),
            **{name: value for name, value in fields.items() if value is not None},
            **given,
            "stream": True,
            "stream_options": {"include_usage": True},
        }

    def chunks(self, answer: Answer, payload: dict) -> Iterator[ChatGenerationChunk]:
        events = self.events()
        with closing(self.received(payload)) as received:
            for data in received:
                for event in events.feed(data):
                    yield from answer.feed(event)
                    if answer.done:
                        break
                if answer.done:
                    break
            else:
                for event in events.flush():
                    yield from answer.feed(event)
        self.check_end(answer)
        yield from answer.end()

    async def achunks(self, answer: Answer, payload: dict) -> AsyncIterator[ChatGenerationChunk]:
        events = self.events()
        async with aclosing(self.areceived(payload)) as received:
            async for data in received:
                for event in events.feed(data):
                    for each in answer.feed(event):
                        yield each
                    if answer.done:
                        break
                if answer.done:
                    break
            else:
                for event in events.flush():
                    for each in answer.feed(event):
                        yield each
        self.check_end(answer)
        for each in answer.end():
            yield each

    def check_end(self, answer: Answer) -> None:
        if not (answer.done or answer.server_says or answer.reason):
            raise ModelConnectionError("the server's answer broke off")

    def result(self, answer: Answer, chunks: list[ChatGenerationChunk]) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=answer.message(chunks))])

    def request(self, payload: dict) -> dict:
        headers = {k: v.get_secret_value() for k, v in (self.default_headers or {}).items()}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key.get_secret_value()}"
        url = f"{self.base_url.rstrip('/')}/chat/completions"
        return {"method": "POST", "url": url, "json": payload, "headers": headers}

    def client(self, kind: Any) -> Any:
        """Make a client for one call: it belongs to no event loop and no thread."""
        auth = None
        if self.auth and not self.api_key:
            user, _, password = self.auth.get_secret_value().partition(":")
            auth = (user, password)
        return kind(verify=TLS, timeout=self.timeout, auth=auth, trust_env=False)

    def received(self, payload: dict) -> Iterator[bytes]:
        for attempt in range(self.max_retries + 1):
            begun = False
            try:
                with (
                    self.client(httpx2.Client) as client,
                    client.stream(**self.request(payload)) as response,
                ):
                    if response.status_code != 200:
                        response.read()
                        raise self.refused(response)
                    for data in response.iter_bytes():
                        begun = True
                        yield data
            except (httpx2.HTTPError, ModelError) as error:
                wait = self.waits(error, attempt, begun=begun)
            else:
                return
            time.sleep(wait)

    async def areceived(self, payload: dict) -> AsyncIterator[bytes]:
        for attempt in range(self.max_retries + 1):
            begun = False
            try:
                async with (
                    self.client(httpx2.AsyncClient) as client,
                    client.stream(**self.request(payload)) as response,
                ):
                    if response.status_code != 200:
                        await response.aread()
                        raise self.refused(response)
                    async for data in response.aiter_bytes():
                        begun = True
                        yield data
            except (httpx2.HTTPError, ModelError) as error:
                wait = self.waits(error, attempt, begun=begun)
            else:
                return
            await asyncio.sleep(wait)

    def waits(self, error: Exception, attempt: int, *, begun: bool) -> float:
        """Return how long to wait for the next attempt, or raise the error as LangChain's."""
        known = self.translated(error)
        if begun or attempt >= self.max_retries or not getattr(known, "is_retryable", False):
            if known is error:
                raise known
            raise known from error
        return getattr(known, "retry_after", None) or 0.05 * 2**attempt

    def translated(self, error: Exception) -> Exception:
        if isinstance(error, httpx2.TimeoutException):
            return ModelTimeoutError(f"{self.model_name} did not answer in time")
        if isinstance(error, httpx2.HTTPError):
            return ModelConnectionError(f"the connection was lost: {error}")
        return error

    def refused(self, response: Any) -> ModelError:
        """Return the error; a server may show the key in its message."""
        body = response.text
        for secret in self.secrets():
            body = body.replace(secret, "***")
        error = refused(response.status_code, body)
        try:
            error.retry_after = min(float(response.headers["retry-after"]), 5.0)
        except (KeyError, ValueError):
            error.retry_after = None
        return error

    def secrets(self) -> list[str]:
        held = [self.api_key, self.auth, *(self.default_headers or {}).values()]
        return [each.get_secret_value() for each in held if each]

    # What LangChain asks.

    @property
    def _llm_type(self) -> str:
        return "handmade-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        names = ("model_name", "base_url", "temperature", "max_tokens", "stop", "output_version")
        values = {name: getattr(self, name) for name in names}
        return {name: value for name, value in values.items() if value is not None}

    def _get_ls_params(self, stop=None, **kwargs) -> Any:
        params = {
            "ls_provider": self.provider,
            "ls_model_name": kwargs.get("model", self.model_name),
            "ls_model_type": "chat",
        }
        for name in ("temperature", "max_tokens"):
            value = kwargs.get(name, getattr(self, name))
            if value is not None:
                params[f"ls_{name}"] = value
        stops = (self.stop or []) if stop is None else stop
        if stops:
            params["ls_stop"] = list(stops)
        return params

    def _get_llm_string(self, stop=None, **kwargs) -> str:
        """Make the cache key of the values in force: core's is that of the first call for ever."""
        identity = {
            "class": self.lc_id(),
            "fields": {**self._identifying_params, "stop": self.stops(stop)},
            "call": {k: v for k, v in kwargs.items() if not k.endswith("structured_output_format")},
        }
        return json.dumps(identity, sort_keys=True, default=repr)

    @property
    def _serialized(self) -> dict[str, Any]:
        return dumpd(self)

    @classmethod
    def is_lc_serializable(cls) -> bool:
        return True

    @property
    def lc_secrets(self) -> dict[str, str]:
        return {"api_key": "HANDMADE_API_KEY"}

    def _resolve_model_profile(self) -> Any:
        return {"image_inputs": True, "tool_calling": True, "structured_output": True}

    def get_num_tokens(self, text: str) -> int:
        return -(-len(text) // 4)


class TextOnly(Full):
    """No tools, and so no structured output; no images either."""

    images: ClassVar[bool] = False
    bind_tools = BaseChatModel.bind_tools
    with_structured_output = BaseChatModel.with_structured_output

    def _resolve_model_profile(self) -> Any:
        return {"tool_calling": False, "image_inputs": False}


class SyncOnly(Full):
    """No async methods: core runs the sync ones in threads."""

    _agenerate = BaseChatModel._agenerate
    _astream = BaseChatModel._astream
    _agenerate_with_cache = BaseChatModel._agenerate_with_cache


class NoStreaming(Full):
    """The server's answers come whole."""

    _stream = BaseChatModel._stream
    _astream = BaseChatModel._astream

    def payload(self, messages, stop, kwargs) -> dict:
        whole = super().payload(messages, stop, kwargs)
        del whole["stream_options"]
        return {**whole, "stream": False}

    def chunks(self, answer, payload):
        with closing(self.received(payload)) as received:
            body = b"".join(received)
        yield from answer.read(parsed(body.decode()))
        yield from answer.end()

    async def achunks(self, answer, payload):
        async with aclosing(self.areceived(payload)) as received:
            body = b"".join([each async for each in received])
        for each in [*answer.read(parsed(body.decode())), *answer.end()]:
            yield each


class ProviderStop(Full):
    """Stop sequences are the server's business, and it leaves them out, as OpenAI's does."""

    def answer(self, stop) -> Answer:
        return self.reads(self.model_name, self.provider, [])

    def payload(self, messages, stop, kwargs) -> dict:
        stops = self.stops(stop)
        return {**super().payload(messages, stop, kwargs), **({"stop": stops} if stops else {})}


CONTROLS = (Full, TextOnly, SyncOnly, NoStreaming, ProviderStop)
