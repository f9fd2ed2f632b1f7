"""langchain-tests' own suites over every source. What does not run, and why:

- PDF, audio and image inputs, and Anthropic's with images: they are fetched from the internet; VCR:
  there is nothing to record;
- tools and structured output over the echo: it writes what it reads.

`test_serdes` is expected to fail: it loads with `allowed_objects="all"`, which means "all classes
that core lists in its own mapping" (`langchain_core/load/load.py`, 1.7.2), so that it refuses those
of third parties. `test_K3_…` does the same with the class allowed by name.
"""

import functools

import pytest
from langchain_core.load import dumpd, load
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from chatwright import ChatCommand, ChatEndpoint, ChatFunction, ChatGGUF, CustomChatModelAdvanced
from contract.subjects import (
    COUNTED,
    ENGINE,
    WIRES,
    AsyncSubclass,
    Subclass,
    agent_fields,
    async_generator,
    command_fields,
    coroutine,
    endpoint_fields,
    loaded,
    native,
    returns,
    yields,
)

SOURCES = {
    "Returns": (ChatFunction, {"function": returns.function, **COUNTED}),
    "Yields": (ChatFunction, {"function": yields.function}),
    "Coroutine": (ChatFunction, {"function": coroutine.function, **COUNTED}),
    "AsyncGenerator": (ChatFunction, {"function": async_generator.function}),
    "Subclass": (Subclass, {}),
    "AsyncSubclass": (AsyncSubclass, {}),
    "Native": (ChatFunction, {"function": native.function}),
    "Echo": (CustomChatModelAdvanced, {"n": 9, "model_name": "echo"}),
    "GGUF": (ChatGGUF, {**ENGINE, "repeat_penalty": 1.0}),
    "Command": (ChatCommand, command_fields),
    "Agent": (ChatCommand, agent_fields),
    **{
        wire.title().replace("_", ""): (ChatEndpoint, functools.partial(endpoint_fields, wire))
        for wire in WIRES
    },
}

LONG = {"Returns", "Coroutine", "Subclass", "Ollama"}
"""What differs from its neighbour in little: `make test-long` tries it."""


@pytest.mark.xfail(reason="core loads no third party's class by 'all'", raises=ValueError)
def serdes(self, model):
    load(dumpd(model), valid_namespaces=model.get_lc_namespace()[:1], allowed_objects="all")


@pytest.mark.xfail(reason="SmolLM2 answers by itself where nothing forces a call")
def agent_loop(self, model):
    ChatModelIntegrationTests.test_agent_loop(self, model)


def suite(base, name, cls, params):
    """Make what a user of langchain-tests would write by hand."""

    def fields():  # a server is asked for its address when a test runs, and no sooner
        return params() if callable(params) else params

    given = {
        "chat_model_class": property(lambda self: cls),
        "chat_model_params": property(lambda self: fields()),
        "standard_chat_model_params": property(
            lambda self: {**super(made, self).standard_chat_model_params, "max_tokens": 64}
        ),
        "model_override_value": property(lambda self: "another-model"),
        "init_from_env_params": property(
            lambda self: ({"CHATWRIGHT_API_KEY": "sk-env"}, fields(), {"api_key": "sk-env"})
        ),
        "has_tool_calling": property(lambda self: name != "Echo"),
        "has_structured_output": property(lambda self: name != "Echo"),
        "supports_json_mode": property(lambda self: name != "Echo"),
        "supports_anthropic_inputs": property(lambda self: name != "Echo"),
    }
    if cls is ChatGGUF:
        given["weights"] = pytest.fixture(autouse=True)(lambda self: loaded())
        # At temperature 0, which langchain-tests sets, SmolLM2 tells one endless joke.
        given["structured_output_kwargs"] = property(lambda self: {"repeat_penalty": 1.2})
    if cls is ChatGGUF and base is ChatModelIntegrationTests:
        given["test_agent_loop"] = agent_loop
    if base is ChatModelUnitTests:
        given["test_serdes"] = serdes
    made = type(f"Test{name}{base.__name__.removeprefix('ChatModel')}", (base,), given)
    return pytest.mark.long(made) if name in LONG else made


for source, (model_class, fields) in SOURCES.items():
    for tests in (ChatModelUnitTests, ChatModelIntegrationTests):
        test_class = suite(tests, source, model_class, fields)
        globals()[test_class.__name__] = test_class
del test_class, tests
