"""Chat model for an Ollama server on the local network, spoken to in plain NDJSON with httpx (no SDK).

Modelled on: home-lab assistants and notebook classes that post to /api/chat themselves.
What is right: options (num_ctx, seed, temperature 0 too) reach the server, stop goes into options; NDJSON is cut at
newline bytes only; tool calls get ids, arguments stay objects; counts from the last record become usage once; an
{"error": ...} record or a stream without `done` raises; async is truly async; images given as base64 are sent.
MODEL: LanOllama
KWARGS: {"host": "http://127.0.0.1:11434", "tag": "tiny"}
WIRE: ollama
"""

import json
import ssl
import uuid
from typing import Any, AsyncIterator, Dict, Iterator, List, Literal, Optional, Union

import httpx
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.tool import tool_call, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field

CTX = ssl.create_default_context()


class OllamaRefused(RuntimeError):
    pass


class LanOllama(BaseChatModel):
    host: str = "http://127.0.0.1:11434"
    tag: str = Field(..., description="model name with tag")
    temperature: Optional[float] = None
    num_ctx: Optional[int] = None
    num_predict: Optional[int] = None
    seed: Optional[int] = None
    keep_alive: Union[int, str, None] = None
    output: Optional[Literal["json"]] = Field(default=None, description="Ollama's `format`")
    wait: float = 120.0

    @property
    def _llm_type(self) -> str:
        return "lan-ollama"

    @property
    def _identifying_params(self) -> Dict[str, Any]:
        return self.model_dump(
            include={"host", "tag", "temperature", "num_ctx", "num_predict", "seed", "output"}
        )

    def _get_ls_params(self, stop=None, **kwargs):
        return {
            **super()._get_ls_params(stop=stop, **kwargs),
            "ls_provider": "ollama",
            "ls_model_name": self.tag,
        }

    def bind_tools(self, tools, *, tool_choice=None, **kwargs):
        # Ollama has no tool_choice; asking for a certain tool is more than we can promise, so only the offer is made.
        return self.bind(tools=[convert_to_openai_tool(t) for t in tools], **kwargs)

    # -- request
    @staticmethod
    def _one(message: BaseMessage) -> Dict[str, Any]:
        text, pictures = [], []
        for block in [message.content] if isinstance(message.content, str) else message.content:
            if isinstance(block, str):
                text.append(block)
            elif block.get("type") == "text":
                text.append(block["text"])
            elif block.get("type") == "image_url":
                url = (
                    block["image_url"]["url"]
                    if isinstance(block["image_url"], dict)
                    else block["image_url"]
                )
                if not url.startswith("data:"):
                    raise NotImplementedError("LanOllama sends only images given as base64 data.")
                pictures.append(url.split(",", 1)[1])
            elif block.get("type") == "image" and (block.get("base64") or block.get("data")):
                pictures.append(block.get("base64") or block["data"])
            elif block.get("type") not in ("tool_use", "tool_call"):
                raise NotImplementedError(f"LanOllama cannot send {block.get('type')!r} blocks.")
        out: Dict[str, Any] = {"content": "".join(text)}
        if pictures:
            out["images"] = pictures
        if isinstance(message, SystemMessage):
            out["role"] = "system"
        elif isinstance(message, HumanMessage):
            out["role"] = "user"
        elif isinstance(message, AIMessage):
            out["role"] = "assistant"
            if message.tool_calls:
                out["tool_calls"] = [
                    {"function": {"name": c["name"], "arguments": c["args"]}}
                    for c in message.tool_calls
                ]
        elif isinstance(message, ToolMessage):
            out["role"] = "tool"
            if message.name:
                out["tool_name"] = message.name
        else:
            raise NotImplementedError(f"LanOllama cannot send a {type(message).__name__}.")
        return out

    def _request(self, messages, stop, stream, kwargs) -> Dict[str, Any]:
        kwargs = dict(kwargs)
        options = {k: getattr(self, k) for k in ("temperature", "num_ctx", "num_predict", "seed")}
        for name in (*options, "top_p", "top_k"):
            if name in kwargs:
                options[name] = kwargs.pop(name)
        if "max_tokens" in kwargs:
            options["num_predict"] = kwargs.pop("max_tokens")
        options["stop"] = stop or None
        body = {
            "model": self.tag,
            "messages": [self._one(m) for m in messages],
            "stream": stream,
            "keep_alive": self.keep_alive,
            "format": self.output,
            "options": {k: v for k, v in options.items() if v is not None},
            **kwargs,
        }
        return {k: v for k, v in body.items() if v is not None}

    @property
    def _where(self) -> str:
        return self.host.rstrip("/") + "/api/chat"

    @staticmethod
    def _check(status: int, raw: bytes) -> None:
        if status >= 400:
            try:
                why = json.loads(raw)["error"]
            except (ValueError, KeyError, TypeError):
                why = raw.decode("utf-8", "replace")[:300]
            raise OllamaRefused(f"Ollama answered {status}: {why}")

    # -- answer
    @staticmethod
    def _counts(record: Dict[str, Any]) -> Optional[Dict[str, int]]:
        if "prompt_eval_count" not in record and "eval_count" not in record:
            return None
        read, made = record.get("prompt_eval_count", 0), record.get("eval_count", 0)
        return {"input_tokens": read, "output_tokens": made, "total_tokens": read + made}

    def _about(self, record: Dict[str, Any]) -> Dict[str, Any]:
        return {
            "model_name": record.get("model", self.tag),
            "done_reason": record.get("done_reason"),
        }

    def _result(self, record: Dict[str, Any]) -> ChatResult:
        said = record["message"]
        calls = [
            tool_call(
                name=c["function"]["name"],
                args=c["function"].get("arguments") or {},
                id=str(uuid.uuid4()),
            )
            for c in said.get("tool_calls") or []
        ]
        return ChatResult(
            generations=[
                ChatGeneration(
                    message=AIMessage(
                        content=said.get("content") or "",
                        tool_calls=calls,
                        usage_metadata=self._counts(record),
                        response_metadata=self._about(record),
                    )
                )
            ]
        )

    def _chunk(self, line: bytes, state: Dict[str, Any]) -> Optional[ChatGenerationChunk]:
        if not line.strip():
            return None
        record = json.loads(line)
        if record.get("error"):
            raise OllamaRefused(f"Ollama broke off: {record['error']}")
        said = record.get("message") or {}
        calls = []
        for c in said.get("tool_calls") or []:  # Ollama sends each call whole
            calls.append(
                tool_call_chunk(
                    name=c["function"]["name"],
                    args=json.dumps(c["function"].get("arguments") or {}),
                    id=str(uuid.uuid4()),
                    index=state["calls"],
                )
            )
            state["calls"] += 1
        message = AIMessageChunk(content=said.get("content") or "", tool_call_chunks=calls)
        if record.get("done"):
            state["done"] = True
            message.usage_metadata, message.response_metadata = (
                self._counts(record),
                self._about(record),
            )
        return ChatGenerationChunk(message=message)

    def _generate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        with httpx.Client(verify=CTX, timeout=self.wait) as http:
            answer = http.post(self._where, json=self._request(messages, stop, False, kwargs))
        self._check(answer.status_code, answer.content)
        return self._result(answer.json())

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        async with httpx.AsyncClient(verify=CTX, timeout=self.wait) as http:
            answer = await http.post(self._where, json=self._request(messages, stop, False, kwargs))
        self._check(answer.status_code, answer.content)
        return self._result(answer.json())

    def _stream(
        self, messages, stop=None, run_manager=None, **kwargs
    ) -> Iterator[ChatGenerationChunk]:
        state, rest = {"calls": 0, "done": False}, b""
        with (
            httpx.Client(verify=CTX, timeout=self.wait) as http,
            http.stream(
                "POST", self._where, json=self._request(messages, stop, True, kwargs)
            ) as answer,
        ):
            if answer.is_error:
                self._check(answer.status_code, answer.read())
            for block in answer.iter_bytes():
                *lines, rest = (rest + block).split(b"\n")
                for line in lines:
                    if chunk := self._chunk(line, state):
                        if run_manager:
                            run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                        yield chunk
        if chunk := self._chunk(rest, state):
            yield chunk
        if not state["done"]:
            raise OllamaRefused("Ollama broke off before the end of its answer.")

    async def _astream(
        self, messages, stop=None, run_manager=None, **kwargs
    ) -> AsyncIterator[ChatGenerationChunk]:
        state, rest = {"calls": 0, "done": False}, b""
        async with (
            httpx.AsyncClient(verify=CTX, timeout=self.wait) as http,
            http.stream(
                "POST", self._where, json=self._request(messages, stop, True, kwargs)
            ) as answer,
        ):
            if answer.is_error:
                self._check(answer.status_code, await answer.aread())
            async for block in answer.aiter_bytes():
                *lines, rest = (rest + block).split(b"\n")
                for line in lines:
                    if chunk := self._chunk(line, state):
                        if run_manager:
                            await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                        yield chunk
        if chunk := self._chunk(rest, state):
            yield chunk
        if not state["done"]:
            raise OllamaRefused("Ollama broke off before the end of its answer.")
