"""Modelled on: repositories that serve open weights with Text Generation Inference's old /generate and put a
`SimpleChatModel` with an instruction template (`[INST] ... [/INST]`) in front, over requests.

Right, within what a `SimpleChatModel` is: text in, text out, no tools, no images, no streaming, and each of these is
refused by name or by LangChain's own NotImplementedError. Stop sequences go to the server, which returns the stop
text at the end of the answer (as TGI does), so it is cut off here. Settings are per call, too.

The wire: POST {inference_server_url}/generate {"inputs", "parameters": {"max_new_tokens", "temperature"?, "top_p"?,
"stop"?, "return_full_text": false}} -> {"generated_text"}.

MODEL: InstructTGIChat
KWARGS: {}
WIRE: own
"""

from typing import Any, Dict, List, Optional

import requests
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models.chat_models import SimpleChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.prompts import PromptTemplate


class InstructTGIChat(SimpleChatModel):
    inference_server_url: str = "http://127.0.0.1:8081"
    max_new_tokens: int = 512
    temperature: Optional[float] = None
    top_p: Optional[float] = None
    timeout: float = 120
    turn_template: PromptTemplate = PromptTemplate.from_template("[INST] {said} [/INST]")
    system_template: PromptTemplate = PromptTemplate.from_template(
        "<<SYS>>\n{rules}\n<</SYS>>\n\n{said}"
    )

    @property
    def _llm_type(self) -> str:
        return "tgi-instruct"

    @property
    def _identifying_params(self) -> Dict[str, Any]:
        return {
            "inference_server_url": self.inference_server_url,
            "max_new_tokens": self.max_new_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "turn_template": self.turn_template.template,
            "system_template": self.system_template.template,
        }

    @staticmethod
    def _said(message: BaseMessage) -> str:
        if isinstance(message.content, list):
            for block in message.content:
                if isinstance(block, dict) and block.get("type") != "text":
                    raise ValueError(
                        f"InstructTGIChat reads text only, not a block of type {block.get('type')!r}"
                    )
        return message.text

    def _inputs(self, messages: List[BaseMessage]) -> str:
        rules = "\n".join(self._said(m) for m in messages if isinstance(m, SystemMessage))
        made = ""
        for message in messages:
            if isinstance(message, SystemMessage):
                continue
            said = self._said(message)
            if isinstance(message, HumanMessage):
                if rules:  # they stand in the first turn
                    said, rules = self.system_template.format(rules=rules, said=said), ""
                made += self.turn_template.format(said=said)
            elif (
                isinstance(message, AIMessage)
                and not message.tool_calls
                and not message.invalid_tool_calls
            ):
                made += f" {said} </s>"
            elif isinstance(message, AIMessage):
                raise ValueError(
                    "InstructTGIChat has no tools: it cannot read a message with tool calls"
                )
            else:
                raise ValueError(f"InstructTGIChat cannot read a {type(message).__name__}")
        if rules:  # there is nobody else to say them
            made += self.turn_template.format(said=rules)
        return made

    def _call(
        self,
        messages: List[BaseMessage],
        stop: Optional[List[str]] = None,
        run_manager: Optional[CallbackManagerForLLMRun] = None,
        **kwargs: Any,
    ) -> str:
        kwargs.pop("stream", None)
        parameters = {
            "max_new_tokens": kwargs.pop(
                "max_tokens", kwargs.pop("max_new_tokens", self.max_new_tokens)
            ),
            "temperature": kwargs.pop("temperature", self.temperature),
            "top_p": kwargs.pop("top_p", self.top_p),
            "stop": stop,
            "return_full_text": False,
        }
        refused = sorted(name for name, value in kwargs.items() if value is not None)
        if refused:
            raise NotImplementedError(f"InstructTGIChat has no {', '.join(refused)}")
        response = requests.post(
            self.inference_server_url.rstrip("/") + "/generate",
            json={
                "inputs": self._inputs(messages),
                "parameters": {k: v for k, v in parameters.items() if v is not None},
            },
            timeout=self.timeout,
        )
        response.raise_for_status()
        try:
            text = response.json()["generated_text"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"the server sent no generated_text: {response.text[:200]!r}"
            ) from error
        for mark in stop or []:
            text = text.partition(mark)[0]
        return text.strip()
