"""The tool schemas of Kimi Vendor Verifier, which SmolLM2's grammar has to hold its calls to."""

import json
from pathlib import Path

import openai
import pytest
from jsonschema import Draft202012Validator

from contract.subjects import ENGINE, loaded

CASES = [
    json.loads(each)
    for each in (Path(__file__).parent / "kimi" / "schemas.jsonl").read_text().splitlines()
]
ASKED = "Call the tool kvv_walle_case once, with the shortest arguments that its schema allows."
QUICK = {"TestAnyOf:4", "TestBasicTypes:2"}
"""Those that `make test` tries."""

pytestmark = [pytest.mark.engine]


@pytest.fixture
def gpt(serving):
    from chatwright import ChatGGUF

    loaded()
    url = serving(ChatGGUF(**{**ENGINE, "n_ctx": 4096})).url
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as made:
        yield made.chat.completions


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param(
            each["schema"],
            id=each["name"],
            marks=[] if each["name"] in QUICK else [pytest.mark.long],
        )
        for each in CASES
    ],
)
def test_a_forced_call_conforms_to_its_schema(gpt, schema):
    tool = {"name": "kvv_walle_case", "description": "Takes a value.", "parameters": schema}
    asked = {
        "model": "m",
        "messages": [{"role": "user", "content": ASKED}],
        "tools": [{"type": "function", "function": tool}],
        "tool_choice": "required",
        "temperature": 0,
        "max_tokens": 64,
    }
    whole = gpt.create(**asked).choices[0]
    # The client's helper would raise for an answer that the limit has cut.
    finish, arguments = None, ""
    for chunk in gpt.create(**asked, stream=True):
        for choice in chunk.choices:
            finish = choice.finish_reason or finish
            for call in choice.delta.tool_calls or ():
                arguments += call.function.arguments or ""
    made = [each.function.arguments for each in whole.message.tool_calls]
    ended = [(whole.finish_reason, made), (finish, [arguments])]
    for reason, calls in ended:
        if reason == "length":  # a small LLM may not find the end
            continue
        assert reason == "tool_calls"
        (call,) = calls
        Draft202012Validator(schema).validate(json.loads(call))
