"""The contract's section Content, over every source: reasoning, media, roles."""

import json

import pytest
from langchain_core.exceptions import ModelInvalidRequestError
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from chatwright import (
    Capabilities,
    ChatEndpoint,
    ContentError,
    Reasoning,
    ReasoningTags,
    RolePolicy,
    chat_model,
)
from chatwright.testing import ScriptedModel
from contract.scripted import TEXT_SOURCES, gguf
from contract.subjects import MODES, PROMPT, SMOLLM2, SUBJECTS, loaded, total

THOUGHT = "<think>\nhmm, `why`?\n</think>\n\nParis."


def pieces(text, size=3):
    return [text[at : at + size] for at in range(0, len(text), size)]


# Reasoning.


SOURCES = {**TEXT_SOURCES, "gguf": gguf}


@pytest.mark.parametrize("source", SOURCES)
async def test_M1_tagged_reasoning_is_a_block_before_the_text(source, mode, version):
    model = SOURCES[source](pieces(THOUGHT), output_version=version)
    message = await mode(model, "x")
    assert message.text == "Paris."
    blocks = message.content_blocks
    assert [block["type"] for block in blocks] == ["reasoning", "text"]
    assert blocks[0]["reasoning"] == "\nhmm, `why`?\n"


@pytest.mark.parametrize("make", ["yields", "async_generator", "subclass", "async_subclass"])
async def test_M1_a_source_may_yield_reasoning_itself(make, mode, version):
    model = TEXT_SOURCES[make](
        [Reasoning("h"), Reasoning("m"), "Pa", "ris"], output_version=version
    )
    message = await mode(model, "x")
    assert message.text == "Paris"
    assert [block["type"] for block in message.content_blocks] == ["reasoning", "text"]


@pytest.mark.parametrize("source", SOURCES)
async def test_M2_blocks_have_stable_indexes(source):
    model = SOURCES[source](pieces(THOUGHT), output_version="v1")
    for chunks in (list(model.stream("x")), [each async for each in model.astream("x")]):
        indexes = {(b["type"], b["index"]) for chunk in chunks for b in chunk.content}
        assert indexes == {("reasoning", 0), ("text", 1)}
        assert len(total(chunks).content) == 2


@pytest.mark.parametrize("subject", SUBJECTS, ids=str)
def test_M3_the_messages_provider_is_the_traces(subject):
    model = subject.make()
    provider = model.invoke(subject.prompt).response_metadata["model_provider"]
    assert provider == model._get_ls_params()["ls_provider"]


def test_tags_can_be_others_or_none():
    said = "<think>a</think>[r]b[/r]c"
    model = ScriptedModel(script=pieces(said), reasoning_tags=ReasoningTags("[r]", "[/r]"))
    message = model.invoke("x")
    assert message.text == "<think>a</think>c"
    assert message.additional_kwargs["reasoning_content"] == "b"
    assert model.invoke("x", reasoning_tags=None).text == said


def test_reasoning_may_have_begun_in_the_prompt():
    tags = ReasoningTags(in_prompt=True)
    message = ScriptedModel(script=pieces("hm</think>\nyes"), reasoning_tags=tags).invoke("x")
    assert message.text == "yes"
    assert message.additional_kwargs["reasoning_content"] == "hm"


def test_the_stop_sequence_is_looked_for_in_the_text_alone():
    message = ScriptedModel(script=pieces("<think>a. b.</think>c. d.")).invoke("x", stop=["."])
    assert message.text == "c."
    assert message.additional_kwargs["reasoning_content"] == "a. b."


@pytest.mark.parametrize("keep", [True, False])
async def test_reasoning_is_sent_back_or_not(keep, version, mode):
    model = ScriptedModel(script=pieces(THOUGHT), keep_reasoning=keep, output_version=version)
    answer = await mode(model, "x")
    model.invoke([HumanMessage("x"), answer, HumanMessage("y")])
    _, said, _ = model.requests[-1].messages
    assert said.content == "Paris."
    expected = {"reasoning_content": "\nhmm, `why`?\n"} if keep else {}
    assert said.additional_kwargs == expected
    (_, shown, _) = model.explain([HumanMessage("x"), answer, HumanMessage("y")])["messages"]
    assert shown.get("reasoning_content") == expected.get("reasoning_content")


async def test_M5_a_models_own_output_is_accepted_back(subject, mode, version):
    model = subject.make(output_version=version)
    answer = await mode(model, subject.prompt)
    again = [*subject.prompt, answer, HumanMessage("And?")]
    assert isinstance((await mode(model, again)).text, str)


# Media.

DATA = "aGVsbG8="
IMAGES = {
    "v1": {"type": "image", "base64": DATA, "mime_type": "image/png"},
    "v0": {"type": "image", "source_type": "base64", "data": DATA, "mime_type": "image/png"},
    "openai": {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}"}},
    "openai str": {"type": "image_url", "image_url": f"data:image/png;base64,{DATA}"},
    "anthropic": {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": DATA},
    },
}
WAV = {"type": "audio", "base64": DATA, "mime_type": "audio/wav"}
PDF = {"type": "file", "base64": DATA, "mime_type": "application/pdf"}
MEDIA = {
    **{f"image {name}": (block, IMAGES["v1"]) for name, block in IMAGES.items()},
    "image url": ({"type": "image_url", "image_url": {"url": "http://x/y"}},) * 1
    + ({"type": "image", "url": "http://x/y"},),
    "audio v1": (WAV, WAV),
    "audio v0": (
        {"type": "audio", "source_type": "base64", "data": DATA, "mime_type": "audio/wav"},
        WAV,
    ),
    "audio openai": ({"type": "input_audio", "input_audio": {"data": DATA, "format": "wav"}}, WAV),
    "file v1": (PDF, PDF),
    "file v0": (
        {"type": "file", "source_type": "base64", "data": DATA, "mime_type": "application/pdf"},
        PDF,
    ),
    "video v1": ({"type": "video", "url": "http://x/v"}, {"type": "video", "url": "http://x/v"}),
    "video openai": (
        {"type": "video_url", "video_url": {"url": "http://x/v"}},
        {"type": "video", "url": "http://x/v"},
    ),
}
ALL = Capabilities(inputs=frozenset({"image", "audio", "video", "file"}))


@pytest.mark.parametrize(("block", "expected"), MEDIA.values(), ids=MEDIA)
async def test_M4_declared_media_reach_the_source_in_one_form(block, expected, mode):
    model = ScriptedModel(script=["seen"], can=ALL)
    content = [{"type": "text", "text": "what?"}, block]
    for message in (HumanMessage(content), ToolMessage(content, tool_call_id="1")):
        assert (await mode(model, [HumanMessage("x"), message])).text == "seen"
        given = model.requests[-1].messages[-1].content
        assert given == [{"type": "text", "text": "what?"}, expected]
        assert message.content == content


@pytest.mark.parametrize(("block", "expected"), MEDIA.values(), ids=MEDIA)
async def test_M4_undeclared_media_are_refused_by_name(block, expected, subject):
    model = subject.make(model_name="mine")
    if isinstance(model, ChatEndpoint):  # it tries what nobody has said that it does not take
        none = model.quirks.model_copy(update={"inputs": frozenset()})
        model = subject.make(model_name="mine", quirks=none)
    asked = [HumanMessage([{"type": "text", "text": "what?"}, block])]
    for mode in MODES.values():
        with pytest.raises(ContentError, match=f"mine does not take '{expected['type']}'") as error:
            await mode(model, asked)
        assert isinstance(error.value, ModelInvalidRequestError)


def test_M4_a_refusal_does_not_show_what_a_block_carries():
    block = {"type": "image", "base64": "c2VjcmV0" * 20, "mime_type": "image/png"}
    with pytest.raises(ContentError) as error:
        ScriptedModel(script=["x"]).invoke([HumanMessage([block])])
    assert "c2VjcmV0" not in str(error.value)


def test_M4_nothing_unknown_is_dropped_or_made_a_string():
    model = ScriptedModel(script=["x"], can=ALL)
    with pytest.raises(ContentError, match="'hologram'"):
        model.invoke([HumanMessage([{"type": "hologram", "data": 1}])])
    with pytest.raises(ContentError, match="'untyped'"):
        model.invoke([HumanMessage([{"data": 1}])])


def test_M4_text_in_its_many_forms_is_a_str():
    model = ScriptedModel(script=["x"])
    content = [
        *["a", {"type": "text", "text": "b", "cache_control": {"type": "ephemeral"}}],
        {"type": "text-plain", "text": "c", "mime_type": "text/plain"},
    ]
    for role in (HumanMessage, SystemMessage, AIMessage):
        model.invoke([role(content), HumanMessage("x")])
        assert model.requests[-1].messages[0].content == "abc"


def test_M4_a_function_declares_what_it_reads():
    @chat_model(inputs={"image"})
    def sees(messages):
        return json.dumps(messages[-1].content)

    assert sees.profile["image_inputs"]
    assert not sees.profile["audio_inputs"]
    assert json.loads(sees.invoke([HumanMessage([IMAGES["v0"]])]).text) == [IMAGES["v1"]]
    with pytest.raises(ContentError, match=r"sees does not take 'audio'.*it takes text, image"):
        sees.invoke([HumanMessage([WAV])])


# Roles.

TALK = [
    SystemMessage("Be kind."),
    HumanMessage("a"),
    HumanMessage("b"),
    AIMessage("c"),
    SystemMessage("Be brief.", additional_kwargs={"__openai_role__": "developer"}),
    HumanMessage("d"),
]
POLICIES = {
    "as they are": (
        RolePolicy(),
        [
            *[("system", "Be kind."), ("user", "a"), ("user", "b"), ("assistant", "c")],
            *[("developer", "Be brief."), ("user", "d")],
        ],
    ),
    "developer is system": (
        RolePolicy(developer="system"),
        [
            *[("system", "Be kind."), ("user", "a"), ("user", "b"), ("assistant", "c")],
            *[("system", "Be brief."), ("user", "d")],
        ],
    ),
    "one system, first": (
        RolePolicy(system="first", developer="system"),
        [
            *[("system", "Be kind.\n\nBe brief."), ("user", "a"), ("user", "b")],
            *[("assistant", "c"), ("user", "d")],
        ],
    ),
    "no system": (
        RolePolicy(system="user", developer="system"),
        [("user", "Be kind.\n\nBe brief.\n\na"), ("user", "b"), ("assistant", "c"), ("user", "d")],
    ),
    "merged": (
        RolePolicy(system="user", merge=True, developer="system"),
        [("user", "Be kind.\n\nBe brief.\n\na\n\nb"), ("assistant", "c"), ("user", "d")],
    ),
    "developer is user": (
        RolePolicy(merge=True, developer="user"),
        [
            *[("system", "Be kind."), ("user", "a\n\nb"), ("assistant", "c")],
            ("user", "Be brief.\n\nd"),
        ],
    ),
}


@pytest.mark.parametrize(("policy", "expected"), POLICIES.values(), ids=POLICIES)
@pytest.mark.parametrize("declared", [True, False])
def test_B8_roles_are_what_the_policy_says(policy, expected, declared):
    if declared:
        model = ScriptedModel(script=["x"], can=Capabilities(roles=policy))
    else:
        model = ScriptedModel(script=["x"], roles=policy)
    before = [each.model_copy(deep=True) for each in TALK]
    shown = model.explain(TALK)["messages"]
    assert [(each["role"], each["content"]) for each in shown] == expected
    assert before == TALK


def test_roles_without_any_user_message():
    model = ScriptedModel(script=["x"], roles=RolePolicy(system="user"))
    assert model.explain([SystemMessage("Be kind.")])["messages"] == [
        {"role": "user", "content": "Be kind."}
    ]


def test_explain_shows_what_the_llm_would_be_given():
    model = ScriptedModel(script=["x"], temperature=0.5, api_key="sk-secret")
    explained = model.explain("hello", stop=["."], max_tokens=7)
    assert explained == {
        "model": "ScriptedModel",
        "messages": [{"role": "user", "content": "hello"}],
        "temperature": 0.5,
        "max_tokens": 7,
        "stop": ["."],
    }
    assert not model.requests


def test_explain_of_a_bound_model_knows_what_is_bound():
    def look(city: str) -> str:
        """Look."""

    model = ScriptedModel(script=["x"], can=Capabilities(tools=True))
    bound = model.bind_tools([look]).bind(temperature=0.1)
    explained = bound.explain("x", max_tokens=3)
    assert explained["tools"][0]["function"]["name"] == "look"
    assert (explained["temperature"], explained["max_tokens"]) == (0.1, 3)


# The real engine.


def test_gguf_explains_the_prompt_that_its_template_makes():
    model = loaded()
    explained = model.explain(TALK)
    assert explained["prompt"] == (
        "<|im_start|>system\nBe kind.\n\nBe brief.<|im_end|>\n"
        "<|im_start|>user\na<|im_end|>\n<|im_start|>user\nb<|im_end|>\n"
        "<|im_start|>assistant\nc<|im_end|>\n<|im_start|>user\nd<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    merged = model.explain(TALK, roles=RolePolicy(system="user", merge=True, developer="system"))
    assert merged["prompt"].count("<|im_start|>user") == 2


REFUSING = (
    "{% for m in messages %}{% if m['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    "<{{ m['role'] }}>{{ m['content'] }}\n{% endfor %}<assistant>"
)


async def test_gguf_moves_the_system_message_where_the_template_refuses_it():
    model = SMOLLM2(n_parallel=1, chat_template=REFUSING, max_tokens=3)
    for mode in MODES.values():
        assert (await mode(model, PROMPT)).usage_metadata["output_tokens"] == 3
    prompt = model.explain(PROMPT)["prompt"]
    assert prompt.startswith("<user>You are a helpful assistant.\n\nWhat")


TOOLS_TEMPLATE = (
    "{%- if tools %}<|im_start|>system\nTools: {% for t in tools %}{{ t | tojson }}{% endfor %}\n"
    "Answer with <tool_call>{...}</tool_call><|im_end|>\n{% endif %}"
    "{%- for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}"
    "{%- if m.tool_calls %}{% for c in m.tool_calls %}\n<tool_call>\n"
    '{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}'
    "\n</tool_call>{% endfor %}{% endif %}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)


def test_gguf_uses_the_template_where_it_knows_tools():
    def look(city: str) -> str:
        """Look at the weather."""

    model = SMOLLM2(n_parallel=1, chat_template=TOOLS_TEMPLATE, max_tokens=40)
    bound = model.bind_tools([look])
    assert "<tools>" not in bound.explain(PROMPT)["prompt"]
    assert "Tools: " in bound.explain(PROMPT)["prompt"]
    assert bound.invoke(PROMPT).usage_metadata["input_tokens"] > 50
    forced = model.bind_tools([look], tool_choice="any").invoke(PROMPT)
    assert forced.tool_calls or forced.invalid_tool_calls
