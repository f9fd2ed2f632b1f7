"""`Abilities`: what a chat model does with tools, schemas and roles, for any source."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

from langchain_core.language_models import LanguageModelInput, ModelProfile
from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig
from pydantic import model_validator

from chatwright.langchain.binding import BoundModel
from chatwright.langchain.capabilities import Capabilities
from chatwright.langchain.content import normalized
from chatwright.langchain.openai import as_openai
from chatwright.langchain.plan import Plan, plan
from chatwright.langchain.request import Request, warn_of_chains
from chatwright.langchain.schemas import as_format, target_of
from chatwright.langchain.settings import KNOWN, TRACING, Settings, call_fields
from chatwright.langchain.structured import Method, StructuredOutput, structured
from chatwright.langchain.tools import ToolLike, as_choice, as_tools

__all__ = ["Abilities"]


class Abilities(Settings):
    """What a source can do, and what is done for it where it can't."""

    def bind(self, **kwargs: Any) -> BoundModel:
        """Return the model with call parameters bound to it."""
        return BoundModel(bound=self, kwargs=kwargs, config={})

    def bind_tools(
        self,
        tools: Sequence[ToolLike],
        *,
        tool_choice: Any = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> BoundModel:
        """Return the model with tools that it may call.

        Args:
            tools: LangChain tools, functions, pydantic classes, TypedDicts, JSON schemas, Runnables
                made tools; a provider's built-in tools, such as `{"type": "web_search"}`, reach a
                source that reads `tools` as they are.
            tool_choice: `auto` or None, `none`, `required` or `any`, or a tool's name. True names
                the tool where there is one, and is `required` where there are more.
            strict: Goes into the tools' definitions, if given.
            **kwargs: Further call parameters to bind, `response_format` for one.

        Raises:
            ParameterError: What can't be a tool, or a choice of a tool that is not bound.
        """
        converted = as_tools(tools, strict=strict)
        if tool_choice is not None:
            kwargs["tool_choice"] = as_choice(tool_choice, converted)
        if converted:
            kwargs["tools"] = converted
        return self.bind(**kwargs)

    def with_structured_output(
        self,
        schema: Any,
        *,
        include_raw: bool = False,
        method: Method | None = None,
        strict: bool | None = None,
        retries: int = 2,
        **kwargs: Any,
    ) -> StructuredOutput:
        """Return a Runnable that answers with what a schema describes.

        Args:
            schema: A pydantic class (v1 or v2) or a dataclass, for instances of it; a TypedDict or
                a JSON schema, for dicts.
            include_raw: Whether the result is a dict of `raw` (the message), `parsed` and
                `parsing_error`, which never raises for an answer that does not conform.
            method: `json_schema` binds a `response_format`, `function_calling` a tool that has to
                be called, `json_mode` a `response_format` that only wants JSON. Default None: what
                the source can do best. What it can't do is done by prompt.
            strict: Goes into the format or the tool, if given.
            retries: How often to ask again, with what was wrong, where an answer does not conform.
            **kwargs: Further call parameters to bind.

        Raises:
            SchemaError: The schema is malformed, or nothing can conform to it.
            ParameterError: There is no such method.
        """
        return structured(
            self,
            target_of(schema, strict=strict),
            method=method,
            include_raw=include_raw,
            retries=retries,
            parameters=kwargs,
        )

    # One call, planned.

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        """Return the model's half of a cache key; tools and formats are told by what they ask."""
        if tools := kwargs.get("tools"):
            kwargs["tools"] = as_tools(tools)
        if isinstance(kwargs.get("response_format"), type):
            kwargs["response_format"] = as_format(kwargs["response_format"])
        return super()._get_llm_string(stop, **kwargs)

    def _asked(
        self,
        messages: Sequence[BaseMessage],
        stop: list[str] | None,
        kwargs: Mapping[str, Any],
        config: RunnableConfig | None = None,
        *,
        streamed: bool = True,
    ) -> tuple[Self, Request]:
        """Return the model with the call's values in its fields, and what is asked."""
        given = {key: value for key, value in kwargs.items() if key not in TRACING}
        model, rest = self.for_call(given)
        stops = model.stops_for_call(stop)
        if model.include_stop:
            warn_of_chains(stops)
        request = Request(
            messages=messages,
            stop=stops,
            tools=as_tools(rest.pop("tools", None) or ()) or None,
            tool_choice=rest.pop("tool_choice", None),
            response_format=as_format(rest.pop("response_format", None)),
            parameters=rest,
            given=given if stop is None else {**given, "stop": stop},
            config=config or {},
            streamed=streamed or bool(stops),
        )
        return model, request

    def takes(self, name: str) -> bool:
        """Tell whether a call may give a parameter.

        Args:
            name: Its name.
        """
        return name in KNOWN or name in call_fields(type(self)) or self._takes(name)

    def plan(self, request: Request, can: Capabilities | None = None) -> Plan:
        """Return how the call is carried out: what of it `reply` is given.

        Args:
            request: What is asked.
            can: What the source can do for it. Default: `capabilities()`.

        Raises:
            ContentError: A message holds what the source does not read.
            ParameterError: A tool choice that is none, or a tool that only its provider can run.
        """
        can = can or self.capabilities()
        messages = self.normalized(request.messages, can)
        if messages is not request.messages:
            request = replace(request, messages=messages)
        bare = Plan(request, self.reasoning_tags, self.include_stop, self.tool_retries)
        return plan(bare, can, self.spoken_protocol(), self.roles or can.roles)

    def normalized(
        self, messages: Sequence[BaseMessage], can: Capabilities
    ) -> Sequence[BaseMessage]:
        """Return messages in the one form that sources get.

        Raises:
            ContentError: A message holds what the source does not read.
        """
        return normalized(
            messages,
            inputs=can.inputs,
            keep_reasoning=self.keep_reasoning,
            opaque=can.opaque,
            model=self.model_name,
        )

    def explain(
        self,
        input: LanguageModelInput,  # noqa: A002
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Return exactly what the LLM would be given; it is not asked.

        Args:
            input: What `invoke` takes.
            stop: Stop sequences.
            **kwargs: Call parameters, as `invoke` takes them; `tools` in any form.

        Returns:
            The request in OpenAI's form: `model`, `messages` as the source would see them (tools
            taught, roles made to fit), and the parameters that are set. Secrets are left out.

        Raises:
            ContentError, ParameterError: As the call itself would.
        """
        messages = self._convert_input(input).to_messages()
        model, request = self._asked(messages, stop, kwargs)
        return model.explained(model.plan(request).request)

    def explained(self, request: Request) -> dict[str, Any]:
        """Return what `reply` would be given, in OpenAI's form."""
        values = {
            **{
                name: getattr(self, name) for name in ("temperature", "max_tokens", "top_p", "seed")
            },
            "stop": [*request.stop] or None,
            "tools": request.tools,
            "tool_choice": request.tool_choice,
            "response_format": request.response_format,
            **request.parameters,
        }
        return {
            "model": self.model_name,
            "messages": as_openai(request.messages),
            **{name: value for name, value in values.items() if value is not None},
        }

    def capabilities(self) -> Capabilities:
        """Return what `reply` can do itself. Override it where it can do more than text."""
        return Capabilities()

    @model_validator(mode="after")
    def _set_model_profile(self) -> Self:
        """Keep what can be told beside what the user gives; core keeps one or the other.

        An empty profile is the user's word that nothing is told.
        """
        given = self.profile
        if given != {}:
            self.profile = None
            super()._set_model_profile()  # type: ignore[operator]  # pydantic's decorator
            if given:
                self.profile = ModelProfile(**{**(self.profile or {}), **given})
        return self

    def _resolve_model_profile(self) -> ModelProfile:
        can = self.capabilities()
        return ModelProfile(
            text_inputs=True,
            text_outputs=True,
            image_inputs="image" in can.inputs,
            audio_inputs="audio" in can.inputs,
            video_inputs="video" in can.inputs,
            pdf_inputs="file" in can.inputs,
            tool_calling=True,
            tool_choice=True,
            structured_output=can.response_format and can.tools_with_format,
        )

    def plans_slowly(self) -> bool:
        """Tell whether `plan` may take long, as where weights are loaded to know the template."""
        return False
