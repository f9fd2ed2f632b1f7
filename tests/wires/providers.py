"""The providers' own clients: they read what the servers' ends of our wires write."""

import json
from collections import Counter
from typing import Any, NamedTuple

import anthropic
import ollama
import openai
from openai.lib.streaming.chat import ChatCompletionStream

TOOL = {
    "name": "look",
    "description": "Looks.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
MESSAGES = [{"role": "user", "content": "hi"}]


class Said(NamedTuple):
    """What a client has read."""

    text: str = ""
    reasoning: str = ""
    calls: tuple = ()
    refusal: str | None = None
    tokens: tuple | None = None
    reason: Any = None
    stop: str | None = None
    raw: Any = None


class Completions:
    wire = "openai"
    path = "/v1"
    reasons = {"stop": "stop", "tool_calls": "tool_calls", "length": "length"}
    kinds = {
        400: openai.BadRequestError,
        401: openai.AuthenticationError,
        404: openai.NotFoundError,
        429: openai.RateLimitError,
        500: openai.InternalServerError,
    }

    def __init__(self, url):
        self.client = openai.OpenAI(base_url=url + self.path, api_key="k", max_retries=0)

    def close(self):
        self.client.close()

    def asked(self, *, tools=False, stop=None):
        tools = {"tools": [{"type": "function", "function": TOOL}]} if tools else {}
        return {"model": "m", "messages": MESSAGES, "stop": stop or openai.omit, **tools}

    def whole(self, **asked):
        return self._said(self.client.chat.completions.create(**self.asked(**asked)))

    def stream(self, **asked):
        with self.client.chat.completions.create(**self.asked(**asked), stream=True) as raw:
            stream = ChatCompletionStream(
                raw_stream=raw, response_format=openai.omit, input_tools=openai.omit
            )
            events = [each.type for each in stream]
            final = stream.current_completion_snapshot
        assert "chunk" in events
        return self._said(final)

    @staticmethod
    def _said(completion):
        (choice,) = completion.choices
        message, usage = choice.message, completion.usage
        assert (message.role, completion.model) == ("assistant", "m")
        calls = [(c.id, c.function.name, c.function.arguments) for c in message.tool_calls or ()]
        return Said(
            message.content or "",
            (message.model_extra or {}).get("reasoning_content") or "",
            tuple((given, name, json.loads(args)) for given, name, args in calls),
            message.refusal,
            usage and (usage.prompt_tokens, usage.completion_tokens),
            choice.finish_reason,
            raw=usage,
        )


class Responses(Completions):
    wire = "responses"
    reasons = {"stop": "completed", "tool_calls": "completed", "length": "max_output_tokens"}

    def asked(self, *, tools=False, stop=None):
        tools = {"tools": [{"type": "function", **TOOL, "strict": True}]} if tools else {}
        return {"model": "m", "input": MESSAGES, **tools}

    def whole(self, **asked):
        return self._said(self.client.responses.create(**self.asked(**asked)))

    def stream(self, **asked):
        heard = {"text": "", "numbers": []}
        parts = Counter()
        final = None
        with self.client.responses.stream(**self.asked(**asked)) as stream:
            for each in stream:
                heard["numbers"].append(each.sequence_number)
                thing, _, what = each.type.rpartition(".")
                parts[thing] += {"added": 1, "done": -1}.get(what, 0)
                if each.type == "response.output_text.delta":
                    heard["text"] += each.delta
                elif each.type == "response.output_text.done":
                    assert heard["text"].endswith(each.text)
                elif each.type in ("response.completed", "response.incomplete"):
                    final = each.response
        begun = {"response.output_text", "response.refusal", "response.function_call_arguments"}
        begun |= {"response.reasoning_summary_text"}
        assert not any(count for thing, count in parts.items() if thing not in begun)
        assert all(parts[thing] for thing in begun & parts.keys())
        assert heard["numbers"] == [*range(len(heard["numbers"]))]
        said = self._said(final)
        assert heard["text"] == said.text
        return said

    @staticmethod
    def _said(response):
        assert (response.model, response.object) == ("m", "response")
        of = {kind: [each for each in response.output if each.type == kind] for kind in KINDS}
        assert sum(map(len, of.values())) == len(response.output)
        parts = [part for each in of["message"] for part in each.content]
        refusals = [each.refusal for each in parts if each.type == "refusal"]
        usage = response.usage
        details = response.incomplete_details
        return Said(
            response.output_text,
            "".join(part.text for each in of["reasoning"] for part in each.summary),
            tuple((c.call_id, c.name, json.loads(c.arguments)) for c in of["function_call"]),
            "".join(refusals) if refusals else None,
            usage and (usage.input_tokens, usage.output_tokens),
            details.reason if details else response.status,
            raw=usage,
        )


KINDS = ("message", "reasoning", "function_call")


class Messages:
    wire = "anthropic"
    path = ""
    reasons = {"stop": "end_turn", "tool_calls": "tool_use", "length": "max_tokens"}
    kinds = {
        400: anthropic.BadRequestError,
        401: anthropic.AuthenticationError,
        404: anthropic.NotFoundError,
        429: anthropic.RateLimitError,
        500: anthropic.InternalServerError,
    }

    def __init__(self, url):
        self.client = anthropic.Anthropic(base_url=url, api_key="k", max_retries=0)

    def close(self):
        self.client.close()

    def asked(self, *, tools=False, stop=None):
        asked = {"model": "m", "max_tokens": 9, "messages": MESSAGES}
        if tools:
            given = {**TOOL, "input_schema": TOOL["parameters"]}
            del given["parameters"]
            asked["tools"] = [given]
        return asked | ({"stop_sequences": stop} if stop else {})

    def whole(self, **asked):
        return self._said(self.client.messages.create(**self.asked(**asked)))

    def stream(self, **asked):
        heard, ended = "", []
        with self.client.messages.stream(**self.asked(**asked)) as stream:
            for each in stream:
                if each.type == "text":
                    heard += each.text
                elif each.type == "content_block_stop":
                    ended.append(each.index)
            said = self._said(stream.get_final_message())
        assert sorted(ended) == [*range(len(ended))]
        assert heard == said.text
        return said

    @staticmethod
    def _said(message):
        assert (message.role, message.type, message.model) == ("assistant", "message", "m")
        of = {
            kind: [each for each in message.content if each.type == kind]
            for kind in ("text", "thinking", "tool_use")
        }
        assert sum(map(len, of.values())) == len(message.content)
        assert all(each.signature for each in of["thinking"])
        refused = message.stop_reason == "refusal"
        usage = message.usage
        return Said(
            "".join(each.text for each in of["text"]),
            "".join(each.thinking for each in of["thinking"]),
            tuple((each.id, each.name, each.input) for each in of["tool_use"]),
            (message.stop_details.explanation or "") if refused else None,
            (usage.input_tokens, usage.output_tokens),
            message.stop_reason,
            message.stop_sequence,
            raw=usage,
        )


class Ollama:
    wire = "ollama"
    path = ""
    reasons = {"stop": "stop", "tool_calls": "stop", "length": "length"}
    kinds = dict.fromkeys((400, 401, 404, 429, 500), ollama.ResponseError)

    def __init__(self, url):
        self.client = ollama.Client(host=url)

    def close(self):
        self.client._client.close()

    def asked(self, *, tools=False, stop=None):
        tools = {"tools": [{"type": "function", "function": TOOL}]} if tools else {}
        options = {"options": {"stop": stop}} if stop else {}
        return {"model": "m", "messages": MESSAGES, **tools, **options}

    def whole(self, **asked):
        return self._said([self.client.chat(**self.asked(**asked))])

    def stream(self, **asked):
        return self._said([*self.client.chat(**self.asked(**asked), stream=True)])

    @staticmethod
    def _said(parts):
        *before, last = parts
        assert all(each.done is False for each in before)
        assert last.done is True
        messages = [each.message for each in parts]
        assert {each.role for each in messages} == {"assistant"}
        calls = [call.function for each in messages for call in each.tool_calls or ()]
        told = last.prompt_eval_count is not None
        return Said(
            "".join(each.content or "" for each in messages),
            "".join(each.thinking or "" for each in messages),
            tuple((None, each.name, dict(each.arguments)) for each in calls),
            None,
            (last.prompt_eval_count, last.eval_count) if told else None,
            last.done_reason,
            raw=last.created_at,
        )


CLIENTS = {each.wire: each for each in (Completions, Responses, Messages, Ollama)}
