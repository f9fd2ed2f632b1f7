"""Structured output of the controls: asked for in one of three methods, parsed, validated."""

import json
from typing import Any

from langchain_core.exceptions import OutputParserException
from langchain_core.runnables import RunnableLambda
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass


def structured(model: Any, schema: Any, *, method: str, include_raw: bool, strict, **kwargs) -> Any:
    asked = asking(model, schema, method, strict, kwargs)

    def parse(message: Any) -> Any:
        return parsed(message, schema, by_call=method == "function_calling")

    def with_raw(message: Any) -> dict:
        try:
            return {"raw": message, "parsed": parse(message), "parsing_error": None}
        except Exception as error:
            return {"raw": message, "parsed": None, "parsing_error": error}

    return asked | RunnableLambda(with_raw if include_raw else parse)


def asking(model: Any, schema: Any, method: str, strict, kwargs: dict) -> Any:
    tool = convert_to_openai_tool(schema, strict=strict)
    name = tool["function"]["name"]
    trace = {"kwargs": {"method": method, "strict": strict}, "schema": tool}
    bound = {**kwargs, "ls_structured_output_format": trace}
    if method == "function_calling":
        return model.bind_tools([schema], tool_choice=name, strict=strict, **bound)
    if method == "json_schema":
        wanted = {"name": name, "schema": convert_to_json_schema(schema, strict=strict)}
        if strict is not None:
            wanted["strict"] = strict
        return model.bind(response_format={"type": "json_schema", "json_schema": wanted}, **bound)
    if method == "json_mode":
        return model.bind(response_format={"type": "json_object"}, **bound)
    raise ValueError(
        f"method={method!r} is unknown; it can be json_schema, function_calling or json_mode"
    )


def parsed(message: Any, schema: Any, *, by_call: bool) -> Any:
    if by_call:
        if not message.tool_calls:
            raise OutputParserException("no call came", llm_output=message.text)
        value = message.tool_calls[0]["args"]
    else:
        try:
            value = json.loads(message.text)
        except ValueError as error:
            raise OutputParserException("no JSON came", llm_output=message.text) from error
    if not (isinstance(schema, type) and is_basemodel_subclass(schema)):
        if not isinstance(value, dict):
            raise OutputParserException("no object came", llm_output=message.text)
        return value
    try:
        validate = getattr(schema, "model_validate", None) or schema.parse_obj
        return validate(value)
    except Exception as error:
        raise OutputParserException(str(error), llm_output=message.text) from error
