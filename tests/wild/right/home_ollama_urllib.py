"""A local server with Ollama's own chat, asked with nothing but the standard library.

Modelled on: repositories of people who run models at home or in an air-gapped network and want no dependency;
sync only (LangChain runs it in a thread for async callers), newline-delimited JSON when it streams.

Right: text, thinking (apart from the text), tools with ids made for them, since the wire has none, options,
stop sequences, usage, images as base64, structured output by the server's `format`.
The server can't be forced to call a tool, so a forced `tool_choice` is refused by name, and so is any argument
that the server does not know.

MODEL: HomeChat
KWARGS: {}
WIRE: ollama
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import Any, Literal
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call, tool_call_chunk
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass

_OPTIONS = ("temperature", "top_p", "top_k", "seed", "num_ctx", "num_predict", "repeat_penalty")


class HomeChat(BaseChatModel):
    """`/api/chat` of a server at home."""

    model_name: str = "tiny"
    server_url: str = "http://localhost:11434"
    temperature: float | None = None
    num_predict: int | None = None
    num_ctx: int | None = None
    seed: int | None = None
    think: bool | None = None
    keep_alive: str | None = None
    timeout_s: float = 300.0

    @property
    def _llm_type(self) -> str:
        return "home-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "model_name": self.model_name,
            "server_url": self.server_url,
            "temperature": self.temperature,
            "num_predict": self.num_predict,
            "num_ctx": self.num_ctx,
            "seed": self.seed,
            "think": self.think,
        }

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = "home"
        limit = kwargs.get("max_tokens", kwargs.get("num_predict", self.num_predict))
        if limit is not None:
            params["ls_max_tokens"] = limit
        return params

    # ---- messages

    @staticmethod
    def _flat(content: str | list[Any]) -> tuple[str, list[str]]:
        if isinstance(content, str):
            return content, []
        texts, images = [], []
        for block in content:
            if isinstance(block, str):
                texts.append(block)
            elif block.get("type") == "text":
                texts.append(block["text"])
            elif block.get("type") == "image" and (block.get("base64") or block.get("data")):
                images.append(block.get("base64") or block["data"])
            elif block.get("type") == "image_url":
                url = block["image_url"]
                url = url["url"] if isinstance(url, dict) else url
                if not url.startswith("data:"):
                    raise ValueError("This server takes images as data, not by URL.")
                images.append(url.partition(",")[2])
            else:
                raise ValueError(
                    f"Content of type {block.get('type')!r} can't be sent to this server."
                )
        return "".join(texts), images

    def _to_wire(self, message: BaseMessage) -> dict[str, Any]:
        if isinstance(message, AIMessage):
            wire: dict[str, Any] = {"role": "assistant", "content": message.text}
            if message.tool_calls:
                wire["tool_calls"] = [
                    {"function": {"name": call["name"], "arguments": call["args"]}}
                    for call in message.tool_calls
                ]
            return wire
        text, images = self._flat(message.content)
        if isinstance(message, ToolMessage):
            wire = {"role": "tool", "content": text, "tool_call_id": message.tool_call_id}
            if message.name:
                wire["tool_name"] = message.name
        elif isinstance(message, SystemMessage):
            wire = {"role": "system", "content": text}
        elif isinstance(message, HumanMessage):
            wire = {"role": "user", "content": text}
        else:
            raise ValueError(f"A message of type {message.type!r} can't be sent to this server.")
        if images:
            wire["images"] = images
        return wire

    def _body(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        stream: bool,
        kwargs: dict[str, Any],
    ) -> dict[str, Any]:
        kwargs = dict(kwargs)
        kwargs.pop("stream", None)
        if "max_tokens" in kwargs:
            kwargs["num_predict"] = kwargs.pop("max_tokens")
        options = {key: getattr(self, key, None) for key in _OPTIONS}
        options.update(kwargs.pop("options", None) or {})
        options.update({key: kwargs.pop(key) for key in _OPTIONS if key in kwargs})
        if stop:
            options["stop"] = stop
        body: dict[str, Any] = {
            "model": kwargs.pop("model", self.model_name),
            "messages": [self._to_wire(message) for message in messages],
            "options": {key: value for key, value in options.items() if value is not None},
            "think": self.think,
            "keep_alive": self.keep_alive,
        }
        choice = kwargs.pop("tool_choice", None)
        self._check_choice(choice)
        if choice == "none":
            kwargs.pop("tools", None)
        unknown = set(kwargs) - {"tools", "format", "think", "keep_alive"}
        if unknown:
            raise TypeError(f"This server knows no {', '.join(sorted(unknown))}.")
        body.update(kwargs)
        body = {key: value for key, value in body.items() if value is not None}
        body["stream"] = stream
        return body

    # ---- the wire

    def _open(self, body: dict[str, Any]) -> Any:
        request = Request(
            self.server_url.rstrip("/") + "/api/chat",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            return urlopen(request, timeout=self.timeout_s)  # noqa: S310
        except HTTPError as error:
            with error:
                said = error.read().decode("utf-8", "replace")[:500]
            raise RuntimeError(f"The server answered {error.code}: {said}") from error

    @staticmethod
    def _parse(line: bytes) -> dict[str, Any]:
        try:
            data = json.loads(line)
        except ValueError as error:
            raise RuntimeError(f"The server's answer is no JSON: {line[:80]!r}") from error
        if not isinstance(data, dict):
            raise RuntimeError(f"The server's answer is no JSON object: {line[:80]!r}")
        if data.get("error"):
            raise RuntimeError(f"The server failed: {data['error']}")
        return data

    @staticmethod
    def _usage(data: dict[str, Any]) -> UsageMetadata | None:
        if "eval_count" not in data and "prompt_eval_count" not in data:
            return None
        read, written = data.get("prompt_eval_count") or 0, data.get("eval_count") or 0
        return UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)

    @staticmethod
    def _metadata(data: dict[str, Any]) -> dict[str, Any]:
        metadata = {
            "model_name": data.get("model"),
            "model_provider": "home",
            "done_reason": data.get("done_reason"),
            "total_duration": data.get("total_duration"),
        }
        return {key: value for key, value in metadata.items() if value is not None}

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with self._open(self._body(messages, stop, False, kwargs)) as response:
            data = self._parse(response.read())
        if "message" not in data:
            raise RuntimeError("The server's answer has no message.")
        raw = data["message"]
        extra = {"reasoning_content": raw["thinking"]} if raw.get("thinking") else {}
        message = AIMessage(
            content=raw.get("content") or "",
            additional_kwargs=extra,
            tool_calls=[
                tool_call(
                    name=item["function"]["name"],
                    args=item["function"].get("arguments") or {},
                    id=item.get("id") or f"call_{uuid.uuid4().hex}",
                )
                for item in raw.get("tool_calls") or []
            ],
            usage_metadata=self._usage(data),
            response_metadata=self._metadata(data),
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        called, done = 0, False
        with self._open(self._body(messages, stop, True, kwargs)) as response:
            for line in response:
                if not line.strip():
                    continue
                data = self._parse(line)
                raw = data.get("message") or {}
                calls = []
                for item in raw.get("tool_calls") or []:
                    calls.append(
                        tool_call_chunk(
                            name=item["function"]["name"],
                            args=json.dumps(item["function"].get("arguments") or {}),
                            id=item.get("id") or f"call_{uuid.uuid4().hex}",
                            index=called,
                        )
                    )
                    called += 1
                done = bool(data.get("done"))
                chunk = ChatGenerationChunk(
                    message=AIMessageChunk(
                        content=raw.get("content") or "",
                        additional_kwargs={"reasoning_content": raw["thinking"]}
                        if raw.get("thinking")
                        else {},
                        tool_call_chunks=calls,
                        usage_metadata=self._usage(data) if done else None,
                        response_metadata=self._metadata(data) if done else {},
                        chunk_position="last" if done else None,
                    )
                )
                if run_manager:
                    run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk
                if done:
                    break
        if not done:
            raise RuntimeError("The stream ended before the answer did.")

    # ---- tools and structured output

    @staticmethod
    def _check_choice(tool_choice: Any) -> None:
        if tool_choice not in (None, False, "auto", "none"):
            raise NotImplementedError(
                f"This server can't be made to call a tool (tool_choice={tool_choice!r}); "
                "use 'auto', or with_structured_output, which goes by a schema."
            )

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        self._check_choice(tool_choice)
        if tool_choice == "none":
            kwargs["tool_choice"] = "none"
        return self.bind(
            tools=[convert_to_openai_tool(tool, strict=strict) for tool in tools], **kwargs
        )

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        method: Literal["json_schema"] = "json_schema",
        include_raw: bool = False,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        if method != "json_schema":
            raise NotImplementedError(f"This model has no method {method!r}; it has 'json_schema'.")
        if kwargs:
            raise ValueError(f"with_structured_output does not know {sorted(kwargs)}.")
        described = convert_to_json_schema(schema)
        model = self.bind(
            format=described,
            ls_structured_output_format={"kwargs": {"method": method}, "schema": schema},
        )
        if isinstance(schema, type) and is_basemodel_subclass(schema):
            parser: Any = PydanticOutputParser(pydantic_object=schema)
        else:
            parser = JsonOutputParser()
        if not include_raw:
            return model | parser
        parsed = RunnablePassthrough.assign(
            parsed=itemgetter("raw") | parser, parsing_error=lambda _: None
        )
        failed = RunnablePassthrough.assign(parsed=lambda _: None)
        return RunnableMap(raw=model) | parsed.with_fallbacks(
            [failed], exception_key="parsing_error"
        )
