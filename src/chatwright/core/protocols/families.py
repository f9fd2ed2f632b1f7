"""The protocols that families of models are trained on.

What they write is in their published chat templates (llama.cpp's `models/templates`) and in the
parsers of vLLM (`vllm/tool_parsers`). Reasoning stands between `<think>` tags where nothing else is
said.
"""

from dataclasses import replace

from chatwright.core.protocols.general import HERMES, OTHERWISE
from chatwright.core.protocols.protocol import ToolProtocol

__all__ = [
    "DEEPSEEK_V3",
    "DEEPSEEK_V3_1",
    "DEEPSEEK_V3_2",
    "FUNCTION_GEMMA",
    "GEMMA",
    "GEMMA4",
    "GLM",
    "HARMONY",
    "KIMI_K2",
    "MINIMAX",
    "MINIMAX_M1",
    "PHI4",
    "PYTHONIC",
    "QWEN3",
    "QWEN3_CODER",
]

_TOOLS = "You can call these tools, described as JSON:\n{tools}\n"


_EXAMPLE = '{"name": "the tool", "arguments": {"its argument": "a value"}}'


def _teaching(how: str, example: str, results: str = "in the next message") -> str:
    return f"{_TOOLS}{how}\n{example}\nThen stop: the results come {results}. {OTHERWISE}"


QWEN3 = replace(
    HERMES,
    result="<tool_response>\n{content}\n</tool_response>",
    signs=("<tool_call>", "<think>", "<|im_start|>"),
)
"""Qwen3's form: Hermes's calls, results as they are."""

QWEN3_CODER = ToolProtocol(
    instructions=_teaching(
        "To call a tool, write its name, and each of its arguments between tags:",
        "<tool_call>\n<function=the tool>\n<parameter=its argument>\na value\n</parameter>\n"
        "</function>\n</tool_call>",
        "between <tool_response> tags",
    ),
    open="<tool_call>",
    close="</tool_call>",
    also=("<function=",),
    call="<tool_call>\n<function={name}>\n{parameters}\n</function>\n</tool_call>",
    parameter="<parameter={key}>\n{value}\n</parameter>",
    result="<tool_response>\n{content}\n</tool_response>",
    halts=("<tool_response>",),
    signs=("<function=", "<parameter="),
)
"""The form of Qwen3-Coder and Qwen3.5, and of Nemotron 3."""

HARMONY = ToolProtocol(
    instructions=_teaching(
        "To call a tool, write a message to it on the channel commentary:",
        "<|channel|>commentary to=functions.the_tool <|constrain|>json<|message|>"
        '{"its argument": "a value"}<|call|>',
    ),
    open="<|channel|>commentary to=functions.",
    close="<|call|>",
    call="<|channel|>commentary to=functions.{name} <|constrain|>json"
    "<|message|>{arguments}<|call|>",
    separator="<|start|>assistant",
    result="<|start|>functions.{name} to=assistant<|channel|>commentary<|message|>{content}<|end|>",
    channels=True,
    signs=("<|channel|>", "<|message|>"),
)
"""OpenAI's harmony format, which gpt-oss writes."""

DEEPSEEK_V3 = ToolProtocol(
    instructions=_teaching(
        "To call tools, write:",
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>the tool\n```json\n"
        '{"its argument": "a value"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
    ),
    open="<｜tool▁calls▁begin｜>",
    close="<｜tool▁calls▁end｜>",
    calls="<｜tool▁calls▁begin｜>{calls}<｜tool▁calls▁end｜>",
    call="<｜tool▁call▁begin｜>function<｜tool▁sep｜>{name}\n```json\n{arguments}\n```"
    "<｜tool▁call▁end｜>",
    result="<｜tool▁output▁begin｜>{content}<｜tool▁output▁end｜>",
    halts=("<｜tool▁outputs▁begin｜>", "<｜tool▁output▁begin｜>"),
    signs=("<｜tool▁sep｜>", "```json"),
)
"""The form of DeepSeek's V3 and R1."""

DEEPSEEK_V3_1 = replace(
    DEEPSEEK_V3,
    instructions=_teaching(
        "To call tools, write:",
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>the tool<｜tool▁sep｜>"
        '{"its argument": "a value"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
    ),
    call="<｜tool▁call▁begin｜>{name}<｜tool▁sep｜>{arguments}<｜tool▁call▁end｜>",
    separator="",
    signs=("<｜tool▁sep｜>",),
)
"""The form of DeepSeek's V3.1."""

DEEPSEEK_V3_2 = ToolProtocol(
    instructions=_teaching(
        "To call tools, write:",
        '<｜DSML｜function_calls>\n<｜DSML｜invoke name="the tool">\n'
        '<｜DSML｜parameter name="its argument" string="true">a value</｜DSML｜parameter>\n'
        "</｜DSML｜invoke>\n</｜DSML｜function_calls>\n"
        'where string="false" stands before anything but a text, which is JSON.',
    ),
    open="<｜DSML｜function_calls>",
    close="</｜DSML｜function_calls>",
    calls="<｜DSML｜function_calls>\n{calls}\n</｜DSML｜function_calls>",
    call='<｜DSML｜invoke name="{name}">\n{parameters}\n</｜DSML｜invoke>',
    parameter='<｜DSML｜parameter name="{key}" string="{text}">{value}</｜DSML｜parameter>',
    result="<function_results>\n<result>{content}</result>\n</function_results>",
    halts=("<function_results>",),
    signs=("DSML｜",),
)
"""The form of DeepSeek's V3.2."""

KIMI_K2 = ToolProtocol(
    instructions=_teaching(
        "To call tools, write, with the calls numbered from 0:",
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.the_tool:0"
        '<|tool_call_argument_begin|>{"its argument": "a value"}<|tool_call_end|>'
        "<|tool_calls_section_end|>",
    ),
    open="<|tool_calls_section_begin|>",
    close="<|tool_calls_section_end|>",
    calls="<|tool_calls_section_begin|>{calls}<|tool_calls_section_end|>",
    call="<|tool_call_begin|>functions.{name}:{index}<|tool_call_argument_begin|>{arguments}"
    "<|tool_call_end|>",
    separator="",
    result="## Return of {id}\n{content}",
    halts=("## Return of",),
    signs=("<|tool_calls_section_begin|>",),
)
"""The form of Moonshot's Kimi K2."""

GLM = ToolProtocol(
    instructions=_teaching(
        "To call a tool, write its name, and each of its arguments between tags:",
        "<tool_call>the tool\n<arg_key>its argument</arg_key>\n<arg_value>a value</arg_value>\n"
        "</tool_call>",
        "between <tool_response> tags",
    ),
    open="<tool_call>",
    close="</tool_call>",
    call="<tool_call>{name}\n{parameters}\n</tool_call>",
    parameter="<arg_key>{key}</arg_key>\n<arg_value>{value}</arg_value>",
    result="<tool_response>\n{content}\n</tool_response>",
    halts=("<tool_response>",),
    signs=("<arg_key>",),
)
"""The form of Z.ai's GLM 4.5 and later."""

MINIMAX_M1 = ToolProtocol(
    instructions=_teaching(
        "To call tools, write a JSON object for each, on a line of its own:",
        f"<tool_calls>\n{_EXAMPLE}\n</tool_calls>",
    ),
    open="<tool_calls>",
    close="</tool_calls>",
    calls="<tool_calls>\n{calls}\n</tool_calls>",
    call="{call}",
    result="tool name: {name}\ntool result: {content}",
    signs=("<tool_calls>",),
)
"""The form of MiniMax-M1."""

MINIMAX = ToolProtocol(
    instructions=_teaching(
        "To call tools, write:",
        '<minimax:tool_call>\n<invoke name="the tool">\n'
        '<parameter name="its argument">a value</parameter>\n</invoke>\n</minimax:tool_call>',
        "between <response> tags",
    ),
    open="<minimax:tool_call>",
    close="</minimax:tool_call>",
    calls="<minimax:tool_call>\n{calls}\n</minimax:tool_call>",
    call='<invoke name="{name}">\n{parameters}\n</invoke>',
    parameter='<parameter name="{key}">{value}</parameter>',
    result="<response>{content}</response>",
    halts=("<response>",),
    signs=("minimax:tool_call",),
)
"""The form of MiniMax-M2."""

GEMMA = ToolProtocol(
    instructions=_teaching(
        "To call tools, write Python calls in a block of code:",
        '```tool_code\nthe_tool(its_argument="a value")\n```',
        "in a block tool_output",
    ),
    open="```tool_code",
    close="```",
    calls="```tool_code\n{calls}\n```",
    call="{python}",
    result="```tool_output\n{content}\n```",
    halts=("```tool_output",),
    signs=("<start_of_turn>",),
)
"""The form that Google gives for Gemma 2 and 3, whose chat templates know no tools."""

FUNCTION_GEMMA = ToolProtocol(
    instructions=_teaching(
        "To call a tool, write its arguments behind its name, texts between <escape>:",
        "<start_function_call>call:the_tool{its_argument:<escape>a value<escape>}"
        "<end_function_call>",
    ),
    open="<start_function_call>",
    close="<end_function_call>",
    call="<start_function_call>call:{name}{{fields}}<end_function_call>",
    quote="<escape>",
    separator="",
    result="<start_function_response>response:{name}{value:<escape>{content}<escape>}"
    "<end_function_response>",
    halts=("<start_function_response>",),
    signs=("<start_function_call>",),
)
"""The form of FunctionGemma."""

GEMMA4 = replace(
    FUNCTION_GEMMA,
    instructions=_teaching(
        'To call a tool, write its arguments behind its name, texts between <|"|>:',
        '<|tool_call>call:the_tool{its_argument:<|"|>a value<|"|>}<tool_call|>',
    ),
    open="<|tool_call>",
    close="<tool_call|>",
    call="<|tool_call>call:{name}{{fields}}<tool_call|>",
    quote='<|"|>',
    result='<|tool_response>response:{name}{value:<|"|>{content}<|"|>}<tool_response|>',
    halts=("<|tool_response>",),
    reasoning=("<|channel>thought\n", "<channel|>"),
    signs=("<|tool_call>call:",),
)
"""The form of Gemma 4."""

PHI4 = ToolProtocol(
    instructions=_teaching(
        "To call tools, write a JSON list of calls:",
        f"<|tool_call|>[{_EXAMPLE}]<|/tool_call|>",
    ),
    open="<|tool_call|>",
    close="<|/tool_call|>",
    also=("functools",),
    call="<|tool_call|>[{call}]<|/tool_call|>",
    result="<|tool_response|>{json}",
    halts=("<|tool_response|>",),
    signs=("<|tool|>",),
)
"""The form of Microsoft's Phi-4-mini."""

PYTHONIC = ToolProtocol(
    instructions=_teaching(
        "To call tools, answer with nothing but a list of Python calls:",
        '[the_tool(its_argument="a value")]',
    ),
    open="<|python_start|>",
    close="<|python_end|>",
    calls="[{calls}]",
    call="{python}",
    separator=", ",
    result="{content}",
    bare=True,
    signs=("<|header_start|>",),
)
"""The form of Meta's Llama 4."""
