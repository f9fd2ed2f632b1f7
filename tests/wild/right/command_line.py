"""Modelled on: repositories that drive a vendor's command-line program (a coding assistant in "print" mode, llama-cli)
as a chat model, by a subprocess per call.

Right: the conversation goes to stdin as JSON, never through a shell; stdout is read as UTF-8; a program that fails
raises with its exit status and what it wrote to stderr, one that takes too long is killed; the async side has its own
subprocess and kills it when it is cancelled. The program has no stop sequences, so the text is cut here (it is not
streamed, so nothing was shown that has to be taken back). Tools are refused by LangChain's NotImplementedError.

`command` defaults to a program that is part of this file, run by this Python.

MODEL: CommandLineChat
KWARGS: {}
WIRE: none
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import Field

PROGRAM = """
import json, sys
asked = json.loads(sys.stdin.buffer.read())
last = asked["turns"][-1]["text"]
if "PLEASE CRASH" in last:
    sys.exit("the program crashed")
text = "Program: " + last
words = text.split(" ")
limit = asked.get("limit")
cut = limit is not None and len(words) > limit
out = {"text": " ".join(words[:limit]) if cut else text, "cut": cut, "read": len(last.split()), "written": len(words)}
sys.stdout.buffer.write(json.dumps(out, ensure_ascii=False).encode())
"""


class ProgramFailed(RuntimeError):
    """The program did not answer."""


class CommandLineChat(BaseChatModel):
    command: list[str] = Field(default_factory=lambda: [sys.executable, "-c", PROGRAM])
    max_tokens: int | None = None
    time_limit: float = 60.0

    @property
    def _llm_type(self) -> str:
        return "command-line"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"command": self.command, "max_tokens": self.max_tokens}

    def _asked(self, messages: list[BaseMessage], kwargs: dict[str, Any]) -> bytes:
        given = {k: v for k, v in kwargs.items() if k != "stream" and v is not None}
        limit = given.pop("max_tokens", self.max_tokens)
        if given:
            raise NotImplementedError(f"the program has no {', '.join(sorted(given))}")
        turns = []
        for message in messages:
            if message.type not in ("system", "human", "ai") or getattr(
                message, "tool_calls", None
            ):
                raise ValueError(
                    f"CommandLineChat has no tools and cannot send this {type(message).__name__}"
                )
            for block in [] if isinstance(message.content, str) else message.content:
                if isinstance(block, dict) and block.get("type") != "text":
                    raise ValueError(
                        f"CommandLineChat sends text only, not a block of type {block.get('type')!r}"
                    )
            turns.append({"who": message.type, "text": message.text})
        return json.dumps({"turns": turns, "limit": limit}).encode()

    def _result(self, status: int, out: bytes, err: bytes, stop: list[str] | None) -> ChatResult:
        if status != 0:
            raise ProgramFailed(
                f"{self.command[0]} ended with status {status}: {err.decode(errors='replace')[-500:]}"
            )
        try:
            answer = json.loads(out.decode("utf-8"))
            text = answer["text"]
        except (ValueError, KeyError, TypeError) as error:
            raise ProgramFailed(f"{self.command[0]} wrote no answer: {out[:200]!r}") from error
        found = [text.index(mark) for mark in stop or [] if mark in text]
        message = AIMessage(
            content=text[: min(found)] if found else text,
            usage_metadata={
                "input_tokens": answer["read"],
                "output_tokens": answer["written"],
                "total_tokens": answer["read"] + answer["written"],
            },
            response_metadata={
                "model_name": Path(self.command[0]).name,
                "finish_reason": "length" if answer["cut"] and not found else "stop",
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        asked = self._asked(messages, kwargs)
        try:
            done = subprocess.run(
                self.command, input=asked, capture_output=True, timeout=self.time_limit, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"{self.command[0]} took longer than {self.time_limit} s") from error
        return self._result(done.returncode, done.stdout, done.stderr, stop)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        asked = self._asked(messages, kwargs)
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *self.command, stdin=pipe, stdout=pipe, stderr=pipe
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(asked), self.time_limit)
        except asyncio.TimeoutError as error:
            raise TimeoutError(f"{self.command[0]} took longer than {self.time_limit} s") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return self._result(process.returncode or 0, out, err, stop)
