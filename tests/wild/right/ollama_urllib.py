"""Modelled on: local-first repositories (desktop assistants, RAG demos) that call Ollama's own /api/chat with nothing
but the standard library; sync only, LangChain's executor makes the async side.

Right: sampling goes into `options` (where Ollama reads it), with `stop` and `max_tokens` translated; calls get ids,
results the tool's name; images are base64 as Ollama wants them; structured output uses Ollama's `format`, held to the
schema by the server and validated here (a reply that was cut is an error). Ollama has no forced tool choice, and the
model says so instead of ignoring it. Unknown arguments are refused by name.

MODEL: OllamaChat
KWARGS: {}
WIRE: ollama
"""

import json
import re
import urllib.error
import urllib.request
import uuid
from operator import itemgetter
from typing import Any, Callable, Dict, Iterator, List, Literal, Optional, Sequence, Union

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableLambda, RunnableMap, RunnablePassthrough
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass

OPTION_NAMES = {
    "temperature", "top_p", "top_k", "seed", "num_ctx", "num_predict", "repeat_penalty", "min_p", "mirostat",
}  # fmt: skip
TOP_NAMES = {"model", "tools", "format", "keep_alive", "think"}


class OllamaChatError(Exception):
    """Ollama said no, or broke off."""


class OllamaChat(BaseChatModel):
    """Chat with a model that Ollama serves at `server_url`."""

    server_url: str = "http://127.0.0.1:11434"
    model: str = "llama3.2"
    temperature: Optional[float] = None
    num_ctx: Optional[int] = None
    num_predict: Optional[int] = None
    keep_alive: Optional[str] = None
    timeout: float = 120

    @property
    def _llm_type(self) -> str:
        return "ollama-urllib"

    @property
    def _identifying_params(self) -> Dict[str, Any]:
        names = ("server_url", "model", "temperature", "num_ctx", "num_predict")
        return {name: getattr(self, name) for name in names}

    # ---------------------------------------------------------------- request

    @staticmethod
    def _text_and_images(message: BaseMessage) -> Dict[str, Any]:
        if isinstance(message.content, str):
            return {"content": message.content}
        texts, images = [], []
        for block in message.content:
            if isinstance(block, str):
                texts.append(block)
                continue
            kind = block.get("type")
            if kind == "text":
                texts.append(block["text"])
            elif kind == "image_url":
                url = (
                    block["image_url"]["url"]
                    if isinstance(block["image_url"], dict)
                    else block["image_url"]
                )
                found = re.fullmatch(r"data:[^,]*;base64,(.*)", url, re.DOTALL)
                if not found:
                    raise ValueError(
                        "Ollama takes images as base64 data only, not by their address"
                    )
                images.append(found[1])
            elif kind == "image" and (block.get("base64") or block.get("data")):
                images.append(block.get("base64") or block["data"])
            elif kind in (
                "tool_use",
                "tool_call",
                "invalid_tool_call",
                "reasoning",
                "thinking",
            ) and isinstance(message, AIMessage):
                continue  # calls come from `tool_calls`, thoughts are not sent back
            else:
                raise ValueError(
                    f"Ollama takes text and base64 images, not a block of type {kind!r}"
                )
        made: Dict[str, Any] = {"content": "\n".join(texts)}
        if images:
            made["images"] = images
        return made

    def _messages(self, messages: List[BaseMessage]) -> List[Dict[str, Any]]:
        made: List[Dict[str, Any]] = []
        names: Dict[Optional[str], str] = {}
        for message in messages:
            turn = self._text_and_images(message)
            if isinstance(message, HumanMessage):
                turn["role"] = "user"
            elif isinstance(message, SystemMessage):
                turn["role"] = "system"
            elif isinstance(message, AIMessage):
                turn["role"] = "assistant"
                if message.tool_calls:
                    turn["tool_calls"] = [
                        {"function": {"name": c["name"], "arguments": c["args"]}}
                        for c in message.tool_calls
                    ]
                    names.update({c["id"]: c["name"] for c in message.tool_calls})
            elif isinstance(message, ToolMessage):
                turn["role"] = "tool"
                name = message.name or names.get(message.tool_call_id)
                if name:
                    turn["tool_name"] = name
            elif isinstance(message, ChatMessage):
                turn["role"] = message.role
            else:
                raise ValueError(f"OllamaChat cannot send a {type(message).__name__}")
            made.append(turn)
        return made

    def _open(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]],
        stream: bool,
        kwargs: Dict[str, Any],
    ) -> Any:
        kwargs = {k: v for k, v in kwargs.items() if k != "stream"}
        options = {k: getattr(self, k) for k in ("temperature", "num_ctx", "num_predict")}
        if "max_tokens" in kwargs:
            options["num_predict"] = kwargs.pop("max_tokens")
        options.update({k: kwargs.pop(k) for k in list(kwargs) if k in OPTION_NAMES})
        options.update(kwargs.pop("options", None) or {})
        if stop:
            options["stop"] = stop
        if unknown := set(kwargs) - TOP_NAMES:
            raise TypeError(f"OllamaChat does not know {', '.join(sorted(unknown))}")
        body = {
            "model": self.model,
            "messages": self._messages(messages),
            "stream": stream,
            "keep_alive": self.keep_alive,
            **kwargs,
            "options": {k: v for k, v in options.items() if v is not None},
        }
        request = urllib.request.Request(
            self.server_url.rstrip("/") + "/api/chat",
            json.dumps({k: v for k, v in body.items() if v is not None}).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            return urllib.request.urlopen(request, timeout=self.timeout)
        except urllib.error.HTTPError as error:
            with error:
                text = error.read(2000).decode(errors="replace")
            raise OllamaChatError(f"Ollama answered {error.code}: {text}") from error

    # ---------------------------------------------------------------- answer

    @staticmethod
    def _line(line: bytes) -> Dict[str, Any]:
        try:
            data = json.loads(line)
        except ValueError as error:
            raise OllamaChatError(f"Ollama sent no JSON: {line[:200]!r}") from error
        if "error" in data:
            raise OllamaChatError(f"Ollama broke off: {data['error']}")
        return data

    @staticmethod
    def _end(data: Dict[str, Any]) -> Dict[str, Any]:
        read, written = data.get("prompt_eval_count"), data.get("eval_count")
        usage = None
        if written is not None:
            read = read or 0  # left out where the prompt was in Ollama's own cache
            usage = UsageMetadata(
                input_tokens=read, output_tokens=written, total_tokens=read + written
            )
        return {
            "usage_metadata": usage,
            "response_metadata": {
                "model_name": data.get("model"),
                "done_reason": data.get("done_reason"),
            },
        }

    def _generate(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager: Optional[CallbackManagerForLLMRun] = None,
        **kwargs: Any,
    ) -> ChatResult:
        with self._open(messages, stop, False, kwargs) as response:
            data = self._line(response.read())
        said = data["message"]
        message = AIMessage(
            content=said.get("content") or "",
            additional_kwargs={"reasoning_content": said["thinking"]}
            if said.get("thinking")
            else {},
            tool_calls=[
                {
                    "name": c["function"]["name"],
                    "args": c["function"].get("arguments") or {},
                    "id": c.get("id") or str(uuid.uuid4()),
                }
                for c in said.get("tool_calls") or []
            ],
            **self._end(data),
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager: Optional[CallbackManagerForLLMRun] = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        done, calls = False, 0
        with self._open(messages, stop, True, kwargs) as response:
            for line in response:
                if not line.strip():
                    continue
                data = self._line(line)
                said = data.get("message") or {}
                made = []
                for call in said.get("tool_calls") or []:  # Ollama sends a call whole
                    made.append(
                        {
                            "name": call["function"]["name"],
                            "args": json.dumps(call["function"].get("arguments") or {}),
                            "id": call.get("id") or str(uuid.uuid4()),
                            "index": calls,
                            "type": "tool_call_chunk",
                        }
                    )
                    calls += 1
                done = done or bool(data.get("done"))
                yield ChatGenerationChunk(
                    message=AIMessageChunk(
                        content=said.get("content") or "",
                        additional_kwargs={"reasoning_content": said["thinking"]}
                        if said.get("thinking")
                        else {},
                        tool_call_chunks=made,
                        **(self._end(data) if data.get("done") else {}),
                    )
                )
        if not done:
            raise OllamaChatError("the stream ended before Ollama was done")

    # ---------------------------------------------------------------- tools, structured output

    def bind_tools(
        self,
        tools: Sequence[Union[Dict[str, Any], type, Callable, BaseTool]],
        *,
        tool_choice: Any = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools. `tool_choice` may be "auto" or "none": Ollama cannot be made to call a tool."""
        if tool_choice == "none":
            return self.bind(**kwargs)
        if tool_choice not in (None, False, "auto"):
            raise NotImplementedError(
                f"Ollama has no forced tool choice (tool_choice={tool_choice!r})"
            )
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    def with_structured_output(
        self,
        schema: Union[Dict[str, Any], type],
        *,
        include_raw: bool = False,
        method: Literal["json_schema"] = "json_schema",
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Structured output by Ollama's `format`."""
        if method != "json_schema":
            raise NotImplementedError(f"OllamaChat has method='json_schema' only, not {method!r}")
        kwargs.pop("strict", None)  # `format` always is
        if kwargs:
            raise ValueError(f"Received unsupported arguments {kwargs}")
        as_json = convert_to_json_schema(schema)
        model = self.bind(
            format=as_json,
            ls_structured_output_format={"kwargs": {"method": method}, "schema": schema},
        )

        def parse(message: AIMessage) -> Any:
            text = message.text
            if message.response_metadata.get("done_reason") == "length":
                raise OutputParserException("the answer was cut (num_predict)", llm_output=text)
            try:
                data = json.loads(text)
                if isinstance(schema, type) and is_basemodel_subclass(schema):
                    return (
                        schema.model_validate(data)
                        if hasattr(schema, "model_validate")
                        else schema.parse_obj(data)
                    )
            except ValueError as error:
                raise OutputParserException(
                    f"no answer in the schema: {error}", llm_output=text
                ) from error
            return data

        parser = RunnableLambda(parse)
        if not include_raw:
            return model | parser
        parsed = RunnablePassthrough.assign(
            parsed=itemgetter("raw") | parser, parsing_error=lambda _: None
        )
        failed = RunnablePassthrough.assign(parsed=lambda _: None)
        return RunnableMap(raw=model) | parsed.with_fallbacks(
            [failed], exception_key="parsing_error"
        )
