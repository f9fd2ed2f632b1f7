"""The protocols that many models understand, and what all of them are taught with."""

from dataclasses import replace

from chatwright.core.protocols.protocol import ToolProtocol

__all__ = ["HERMES", "LLAMA3", "MISTRAL", "MISTRAL_V11", "OTHERWISE", "REACT", "WRAPPED"]

OTHERWISE = "If no tool is needed, answer without calling one."

HERMES = ToolProtocol(
    instructions=(
        "You can call tools. These are described as JSON between <tools> tags:\n"
        "<tools>\n{tools}\n</tools>\n"
        "To call a tool, write a JSON object with its name and its arguments between <tool_call> "
        "tags:\n"
        '<tool_call>\n{"name": "the tool", "arguments": {"its argument": "a value"}}\n'
        "</tool_call>\n"
        "You can write several calls, each between tags of its own. Then stop: the results come "
        f"between <tool_response> tags. {OTHERWISE}"
    ),
    open="<tool_call>",
    close="</tool_call>",
    call="<tool_call>\n{call}\n</tool_call>",
    result='<tool_response>\n{"name": "{name}", "content": {json}}\n</tool_response>',
    halts=("<tool_response>",),
    signs=("<tool_call>",),
)
"""The form of Nous Research's Hermes, which Qwen and many others were trained on."""

LLAMA3 = ToolProtocol(
    instructions=(
        "You can call these functions, described as JSON:\n{tools}\n"
        "To call a function, answer with nothing but a JSON object of this form:\n"
        '{"name": "the function", "parameters": {"its parameter": "a value"}}\n'
        "Write several calls one behind the other, separated by a semicolon. Then stop: the "
        f"results come in the next message. {OTHERWISE.replace('tool', 'function')}"
    ),
    open="<|python_tag|>",
    call="{call}",
    result='{"output": {json}}',
    separator="; ",
    bare=True,
    arguments_key="parameters",
    signs=("<|start_header_id|>", "parameters"),
)
"""The JSON form of Meta's Llama 3.1 and later."""

_V3 = ToolProtocol(
    instructions=(
        "[AVAILABLE_TOOLS] [{tools}] [/AVAILABLE_TOOLS]\n"
        "To call tools, write [TOOL_CALLS] and a JSON list of calls:\n"
        '[TOOL_CALLS] [{"name": "the tool", "arguments": {"its argument": "a value"}}]\n'
        f"Then stop: the results come behind [TOOL_RESULTS]. {OTHERWISE}"
    ),
    open="[TOOL_CALLS]",
    call="[TOOL_CALLS] [{call}]",
    result='[TOOL_RESULTS] {"content": {json}, "call_id": "{id}"} [/TOOL_RESULTS]',
    halts=("[TOOL_RESULTS]",),
    signs=("[TOOL_CALLS]",),
)

MISTRAL_V11 = ToolProtocol(
    instructions=(
        "[AVAILABLE_TOOLS][{tools}][/AVAILABLE_TOOLS]\n"
        "To call a tool, write its name and its arguments as a JSON object:\n"
        '[TOOL_CALLS]the_tool[ARGS]{"its argument": "a value"}\n'
        f"Then stop: the results come behind [TOOL_RESULTS]. {OTHERWISE}"
    ),
    open="[TOOL_CALLS]",
    call="[TOOL_CALLS]{name}[ARGS]{arguments}",
    separator="",
    result="[TOOL_RESULTS]{content}[/TOOL_RESULTS]",
    halts=("[TOOL_RESULTS]",),
    reasoning=("[THINK]", "[/THINK]"),
    signs=("[TOOL_CALLS]", "[ARGS]"),
    other=_V3,
)
"""The form of Mistral's v11 tokenizer and later ones; the older one is read as well."""

MISTRAL = replace(_V3, other=replace(MISTRAL_V11, other=None))
"""The form of Mistral's v3 tokenizer; the newer one is read as well."""

REACT = ToolProtocol(
    instructions=(
        "You can call these tools, described as JSON:\n{tools}\n"
        "To call a tool, write:\n"
        "Thought: why you call it\n"
        "Action: the tool's name\n"
        'Action Input: its arguments, a JSON object such as {"argument": "a value"}\n'
        "Then stop: the result comes behind 'Observation:'. When you know the answer, write it "
        "without an action."
    ),
    open="Action:",
    call="Action: {name}\nAction Input: {arguments}",
    result="Observation: {content}",
    halts=("Observation:",),
    arguments_marker="Action Input:",
)
"""The form of the ReAct paper (arXiv 2210.03629), with arguments in JSON."""

WRAPPED = ToolProtocol(
    instructions=(
        "You can call these tools, described as JSON:\n{tools}\n"
        "To call a tool, answer with nothing but a JSON object of this form:\n"
        '{"tool_call": {"name": "the tool", "arguments": {"its argument": "a value"}}}\n'
        f"Then stop: the result comes in the next message. {OTHERWISE}"
    ),
    open='{"tool_call":',
    call='{"tool_call": {call}}',
    result='{"tool": "{name}", "result": {json}}',
)
"""One call that can be told from other JSON, for a grammar that admits both."""
