"""What a request asks of a chat model beside its messages, as the parameters of a call."""

from typing import Any

from chatwright.langchain.model import ChatModel
from chatwright.wires.prompt import Prompt

__all__ = ["parameters_of"]


def parameters_of(model: ChatModel, prompt: Prompt) -> tuple[dict[str, Any], list[str]]:
    """Return the parameters of a call, and the names of fields that have no effect on the model.

    Args:
        model: The model.
        prompt: What is asked.
    """
    untaken = [name for name in prompt.parameters if not model.takes(name)]
    given = {name: each for name, each in prompt.parameters.items() if name not in untaken}
    given["include_stop"] = False  # as all of these APIs do
    if prompt.stop:
        given["stop"] = [*prompt.stop]
    if prompt.tools:
        given["tools"] = [*prompt.tools]
    if prompt.tool_choice is not None:
        given["tool_choice"] = prompt.tool_choice
    if prompt.response_format is not None:
        given["response_format"] = prompt.response_format
    return given, sorted([*prompt.ignored, *untaken])
