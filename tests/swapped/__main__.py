"""langchain's own tests of agents, each of whose fake chat models becomes a function of ours.

`python tests/swapped FOLDER`, where FOLDER is langchain's source distribution. A test makes a
`FakeToolCallingModel`, or a fake of its own; what it gets is a `ChatFunction` whose function asks
that very fake what to answer. Whatever else a chat model does, from `bind_tools` to events, is then
ours. What differs is in `expected.toml`, with the reason, and must differ.
"""

import inspect
import os
import sys
import tomllib
from pathlib import Path

import pytest
from langchain_core.language_models import BaseChatModel, GenericFakeChatModel

from chatwright import ChatFunction

FACES = ("invoke", "ainvoke", "_stream", "_astream")
"""A fake that overrides one of these is itself what its test is about: it stays."""
AGENTS = "tests/unit_tests/agents/"
EXPECTED = {
    each: group["why"]
    for group in tomllib.loads(Path(__file__).with_name("expected.toml").read_text())["differs"]
    for each in group["tests"]
}


def function_of(fake):
    """Return the function that asks a fake; it is async and names formats where the fake does."""

    def generate(messages, **given):
        return fake._generate(messages, **given)

    async def agenerate(messages, **given):
        return await fake._agenerate(messages, **given)

    function = agenerate if overrides(type(fake), "_agenerate") else generate
    named = ["messages", "stop", "tools", "tool_choice"]
    if hasattr(fake, "structured_response"):
        named.append("response_format")
    parameters = [inspect.Parameter(each, inspect.Parameter.KEYWORD_ONLY) for each in named]
    rest = inspect.Parameter("rest", inspect.Parameter.VAR_KEYWORD)
    function.__signature__ = inspect.Signature([*parameters, rest])
    return function


class Swapped(ChatFunction):
    """A function in a fake's place. What only the fake has, a test still reads and sets there."""

    @property
    def _llm_type(self):
        return self._fake._llm_type

    def _get_ls_params(self, stop=None, **kwargs):
        return self._fake._get_ls_params(stop=stop, **kwargs)

    def __getattr__(self, name):
        fake = self.__dict__.get("_fake")
        if fake is None or name.startswith("__"):
            return super().__getattr__(name)
        return getattr(fake, name)

    def __setattr__(self, name, value):
        if name in type(self).model_fields:
            super().__setattr__(name, value)
        else:
            setattr(self._fake, name, value)


def overrides(cls, method):
    cores = (getattr(BaseChatModel, method), getattr(GenericFakeChatModel, method))
    return getattr(cls, method) not in cores


def is_fake(cls):
    """Tell whether a class is a fake of the tests', or core's own that they use."""
    of_theirs = cls.__module__.startswith("tests.") or cls is GenericFakeChatModel
    return of_theirs and not any(overrides(cls, each) for each in FACES)


made = []


def new(cls, *args, **fields):
    """Make a model, as `BaseChatModel.__new__`: of a fake, a function."""
    fake = object.__new__(cls)
    if not is_fake(cls):
        return fake
    fake.__init__(*args, **fields)
    named = {"model_name": name} if (name := getattr(fake, "model_name", None)) else {}
    profile = fake.profile or {"structured_output": False}
    model = Swapped(function=function_of(fake), profile=profile, **named)
    model.__dict__["_fake"] = fake
    made.append(model)
    return model


def pytest_configure():
    BaseChatModel.__new__ = new


def pytest_collection_modifyitems(items):
    """Expect what is expected, and nothing that is not there."""
    left = {**EXPECTED}
    for item in items:
        name = item.nodeid.removeprefix(AGENTS)
        for each in (name, name.partition("[")[0]):
            if each in EXPECTED:
                item.add_marker(pytest.mark.xfail(reason=EXPECTED[each], strict=True))
                left.pop(each, None)
    if left:
        raise pytest.UsageError(f"expected.toml names tests that are not there: {[*left]}")


def pytest_sessionfinish(session):
    """Fail where the fakes have moved, so that nothing was swapped."""
    if len(made) < 500:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(f"{len(made)} fakes were functions of ours")


if __name__ == "__main__":
    os.chdir(sys.argv[1])
    sys.path.insert(0, str(Path.cwd()))
    sys.exit(pytest.main([AGENTS, "-q", "-rfEX", *sys.argv[2:]], plugins=[sys.modules[__name__]]))
