"""`probe`: servers that are common and odd, and the models that its findings make."""

import json

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy
from pydantic import BaseModel

from chatwright import ChatEndpoint, Finish, LoadError, Quirks, ToolCallDelta, load
from chatwright.testing import Refuse, Upstream
from chatwright.wrap.endpoint.probe import probe

NUMBERS = [f"{n}, " for n in range(1, 21)]
COUNTED = "".join(NUMBERS).strip()


def plays(refusal=None, models=("m",), words=None, busy=0, first=None):
    """Return a script of a server that counts; `refusal` says why a request's body is refused."""
    left = [busy]

    def script(received):
        if received.path.endswith("/models"):
            listed = {"data": [{"id": each} for each in models]}
            return [Refuse(200, body=json.dumps(listed).encode())]
        if received.asked is None:
            return [Refuse(404)]
        if left[0]:
            left[0] -= 1
            return [Refuse(429, "slow down", headers={"Retry-After": "0"})]
        body = received.body
        if refusal and (why := refusal(body)):
            return [Refuse(400, why)]
        said, room = words or NUMBERS, body.get("max_tokens", body.get("max_completion_tokens"))
        cut = room is not None and room < len(said)
        counted = [*said[:room], Finish("length" if cut else "stop")]
        return (first(received) if first else None) or counted

    return script


async def found(script, tmp_path):
    """Return the findings by their names, and the model that their file makes."""
    with Upstream(script) as server:
        findings = await probe(f"{server.url}/v1")
        path = tmp_path / "found.toml"
        path.write_text(findings.as_toml())
        model = load(str(path), max_retries=0)
        answer = await model.ainvoke([("system", "Be kind."), ("human", "Count.")])
        assert answer.text.strip() == COUNTED
    return {each.name: each for each in findings.found}, model


async def test_no_system_role(tmp_path):
    def refusal(body):
        roles = {each["role"] for each in body["messages"]}
        return "System role not supported" if roles & {"system", "developer"} else None

    said, model = await found(plays(refusal), tmp_path)
    assert said["system"].value == "user"
    assert model.quirks.system == "user"
    assert said["merge"].value is False
    assert said["max_tokens"].value == "max_tokens"


async def test_it_only_streams_and_refuses_the_rest(tmp_path):
    script = plays(lambda body: None if body["stream"] else "only streaming is supported")
    said, _ = await found(script, tmp_path)
    assert said["stream"].value is True
    assert "parameters" not in said
    assert said["max_tokens"].value == "max_tokens"


async def test_it_only_streams_whatever_is_asked(tmp_path):
    events = [{"choices": [{"index": 0, "delta": {"content": each}}]} for each in NUMBERS]
    ended = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    raw = b"".join(f"data: {json.dumps(each)}\n\n".encode() for each in [*events, ended])
    script = plays(first=lambda _: [Refuse(200, body=raw + b"data: [DONE]\n\n")])
    said, _ = await found(script, tmp_path)
    assert said["stream"].value is True


@pytest.mark.parametrize("least", [16, 100])
async def test_it_takes_no_less_than_so_many_tokens(tmp_path, least):
    def refusal(body):
        few = body.get("max_tokens", body.get("max_completion_tokens", least)) < least
        return f"max_tokens has to be {least} at least" if few else None

    said, _ = await found(plays(refusal), tmp_path)
    assert said["system"].value == "keep"
    assert said["merge"].value is False
    assert said["developer"].value == "developer"
    assert "parameters" not in said or "max_tokens" not in said["parameters"].value
    assert said["names"].value == frozenset({"assistant", "user"})


async def test_it_takes_three_fields_and_nothing_else(tmp_path):
    taken = {"model", "messages", "stream"}
    script = plays(
        lambda body: f"unknown: {sorted(body.keys() - taken)}" * bool(body.keys() - taken)
    )
    said, model = await found(script, tmp_path)
    left = {"max_tokens": "", "temperature": "", "top_p": "", "seed": ""}
    assert said["parameters"].value == left
    assert said["max_tokens"].value is None
    assert said["max_stops"].value == 0
    assert said["tools"].value is False
    assert said["stream"].value is True
    assert said["stream_usage"].value is False
    with Upstream(script) as server:
        again = model.model_copy(update={"base_url": f"{server.url}/v1", "seed": 3, "top_p": 0.5})
        assert again.invoke("Count.", temperature=0.5, stop=["7"]).text == "1, 2, 3, 4, 5, 6, 7"


async def test_each_answer_is_an_error_with_the_status_200():
    script = plays(first=lambda _: [Refuse(200, body=b'{"code": 1001, "msg": "no such group"}')])
    with Upstream(script) as server, pytest.raises(LoadError, match="no such group"):
        await probe(f"{server.url}/v1")


async def test_its_first_models_are_of_another_kind(tmp_path):
    def refusal(body):
        return None if body["model"] == "chatty" else "this model does not support chat"

    for models in (("text-embedding-3", "chatty"), ("odd", "chatty"), ("bge-m3", "odd", "chatty")):
        _, model = await found(plays(refusal, models=models), tmp_path)
        assert model.model_name == "chatty"
    with (
        Upstream(plays(refusal, models=("odd", "queer"))) as server,
        pytest.raises(LoadError, match=r"odd: .*queer: .*lists 2 models: name one by --model"),
    ):
        await probe(f"{server.url}/v1")


async def test_it_is_busy_once(tmp_path):
    said, _ = await found(plays(busy=1), tmp_path)
    assert said["stream"].value is True


async def test_what_it_is_too_busy_for_could_not_be_told(tmp_path):
    def busy(received):
        if received.asked.tools:
            return [Refuse(429, "slow down", headers={"Retry-After": "0"})]
        return None

    said, _ = await found(plays(first=busy), tmp_path)
    assert said["tools"].value is None
    assert "slow down" in said["tools"].evidence
    assert "try again later" in said["tools"].evidence
    assert said["system"].value == "keep"


async def test_thoughts_that_end_without_having_begun(tmp_path):
    words = ["I should ", "count.\n", "</think>", "\n\n", *NUMBERS]
    said, model = await found(plays(words=words), tmp_path)
    assert said["reasoning_tags"].value.in_prompt is True
    with Upstream(plays(words=words)) as server:
        again = model.model_copy(update={"base_url": f"{server.url}/v1"})
        answer = again.invoke("Count.")
    assert answer.content_blocks == [] or "I should" not in answer.text
    assert answer.additional_kwargs["reasoning_content"] == "I should count.\n"


async def test_thoughts_that_take_all_the_room_get_more(tmp_path):
    words = [*["hmm "] * 200, "</think>", *NUMBERS]
    said, _ = await found(plays(words=words), tmp_path)
    assert said["reasoning_tags"].value.in_prompt is True


CITY = {"city": "Bern"}


class City(BaseModel):
    """A city."""

    city: str


def report(n: int) -> str:
    """Report a number."""
    return f"{n} is reported"


def tools_or_schema(received, call=True):
    """Answer as a server that takes tools, or a schema, but not both."""
    asked = received.asked
    names = set(asked.tools)
    if asked.schema and asked.tools:
        return [Refuse(400, "Cannot use custom grammar constraints with tools")]
    if "City" in names and asked.messages[-1][0] == "tool":
        return [ToolCallDelta(0, "c2", "City", json.dumps(CITY))]
    if asked.messages[-1][0] == "tool":
        return [json.dumps(CITY)]
    if asked.tools and asked.tool_choice != "none":
        name = next(iter(names - {"City"}), "City")
        args = {"count": 3} if name == "report_quokka" else {"n": 3}
        return [ToolCallDelta(0, "c1", name, json.dumps(args))]
    if asked.schema:
        return [json.dumps({"quokka": "q7"})]
    return None


async def test_tools_and_a_schema_each_alone(tmp_path):
    said, model = await found(plays(first=tools_or_schema), tmp_path)
    assert said["tools"].value is True
    assert said["response_format"].value == "json_schema"
    assert said["tools_with_format"].value is False
    assert "custom grammar" in said["tools_with_format"].evidence
    with Upstream(plays(first=tools_or_schema)) as server:
        again = ChatEndpoint(f"{server.url}/v1", model="m", quirks=model.quirks, max_retries=0)
        for wanted in (City, ProviderStrategy(City)):
            agent = create_agent(again, [report], response_format=wanted)
            result = await agent.ainvoke({"messages": [("human", "Report 3, then name a city.")]})
            assert result["structured_response"] == City(**CITY)
            by_tool = "City" in json.dumps(server.requests[-1].body["tools"])
            assert by_tool is (wanted is City)
        told = [json.dumps(each.body["messages"]) for each in server.requests[-2:]]
        assert all("JSON" in each for each in told)  # by prompt, where the provider's way is asked
        alone = again.with_structured_output({"title": "Q", "type": "object", "properties": {}})
        assert alone.invoke("x") == {"quokka": "q7"}
        assert "response_format" in server.requests[-1].body


async def test_beside_a_schema_it_calls_nothing(tmp_path):
    def script(received):
        if received.asked.schema and received.asked.tools:
            return [json.dumps({"quokka": "q7"})]
        return tools_or_schema(received)

    said, _ = await found(plays(first=script), tmp_path)
    assert said["tools_with_format"].value is False
    assert "calls no tool" in said["tools_with_format"].evidence


async def test_calls_that_it_can_not_stream(tmp_path):
    def script(received):
        if received.asked.tools and received.body["stream"]:
            return [Refuse(400, "tools can't be streamed")]
        return tools_or_schema(received)

    said, model = await found(plays(first=script), tmp_path)
    assert said["stream"].value is True
    assert said["stream_tools"].value is False
    assert said["tools"].value is True
    with Upstream(plays(first=script)) as server:
        again = ChatEndpoint(f"{server.url}/v1", model="m", quirks=model.quirks, max_retries=0)
        chunks = [each async for each in again.bind_tools([report]).astream("Report 3.")]
        assert [call["args"] for each in chunks for call in each.tool_calls] == [{"n": 3}]
        assert [each.text async for each in again.astream("Count.")][1:3] == ["2, ", "3, "]


@pytest.mark.parametrize(
    ("fields", "whole", "whole_with_tools"),
    [
        ({}, False, False),
        ({"streaming": False}, True, True),
        ({"disable_streaming": True}, True, True),
        ({"disable_streaming": "tool_calling"}, False, True),
        ({"quirks": Quirks(stream_tools=False)}, False, True),
    ],
)
def test_who_wants_no_stream_gets_none_on_the_wire(fields, whole, whole_with_tools):
    with Upstream(plays(first=tools_or_schema)) as server:
        model = ChatEndpoint(f"{server.url}/v1", model="m", **fields)
        assert model.invoke("Count.").text.strip() == COUNTED
        assert server.requests[-1].body["stream"] is not whole
        bound = model.bind_tools([report])
        for answer in (bound.invoke("Report 3."), *list(bound.stream("Report 3."))[:1]):
            assert answer.tool_calls or answer.tool_call_chunks
            assert server.requests[-1].body["stream"] is not whole_with_tools
