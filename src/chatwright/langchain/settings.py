"""`Settings`: the fields that every chat model has, and what LangChain asks about them."""

import copy
import dataclasses
import functools
import json
import re
from collections.abc import Mapping
from importlib.metadata import version
from typing import Annotated, Any, ClassVar, Self

from langchain_core.globals import get_llm_cache
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.base import LangSmithParams
from langchain_core.utils.utils import secret_from_env
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    model_validator,
)

from chatwright.core.protocols import PROTOCOLS, Named, ToolProtocol, protocol_of
from chatwright.core.tags import ReasoningTags
from chatwright.errors import ParameterError
from chatwright.langchain.capabilities import RolePolicy
from chatwright.langchain.derived import derive_anew, derived, derives_late, has_own_init
from chatwright.langchain.identity import (
    Unidentified,
    class_identity,
    digest,
    identity,
    is_identified,
)
from chatwright.langchain.prices import Price
from chatwright.langchain.request import as_stops
from chatwright.langchain.run import RUN
from chatwright.langchain.stored import warn_uncached, with_own_secrets

__all__ = ["CONFIGURED", "KNOWN", "PLUMBING", "PROVIDER", "TRACING", "Settings", "call_fields"]

PROVIDER = "chatwright"
VERSION = version("chatwright")

PLUMBING = frozenset(BaseChatModel.model_fields) - {"output_version"}
_SECRET = frozenset({"api_key"})
TRACING = frozenset({"ls_structured_output_format", "structured_output_format", "stream", RUN})
"""What LangChain, or `Run`, puts beside a call's own parameters."""
CONFIGURED = frozenset({"callbacks", "metadata", "run_id", "run_name", "tags"})
"""What a call has in its config, so that core takes no parameter of the name."""
KNOWN = frozenset({"parallel_tool_calls", "response_format", "strict", "tool_choice", "tools"})


def _not_empty(tags: ReasoningTags) -> ReasoningTags:
    if not (tags.open and tags.close):
        raise ValueError("a tag of reasoning can't be empty")
    return tags


class Settings(BaseChatModel):
    """A chat model's fields: small values that pickle, copy and configure freely."""

    model_name: str = ""
    """The model's name, for traces, usage and prices. Default: the class's name."""
    temperature: float | None = None
    """Sampling temperature. Default None: the model's own."""
    max_tokens: int | None = None
    """The longest answer, in tokens. Default None: the model's own limit."""
    top_p: float | None = None
    """Nucleus sampling: the share of probability to sample from. Default None: the model's own."""
    seed: int | None = None
    """Seed of the sampling. Default None: the model's own."""
    timeout: float | None = None
    """Seconds that one answer may take, for a source that looks at it. Default None: no limit."""
    max_retries: int | None = None
    """Attempts after a failed one, for a source that retries. Default None: the source's own."""
    stop: Annotated[list[str] | None, BeforeValidator(lambda stop: stop and [*as_stops(stop)])] = (
        None
    )
    """Stop sequences. A call's `stop` takes their place."""
    include_stop: bool = True
    """Whether the stop sequence ends the text (True, as LangChain's guide asks) or is left out, as
    classic ReAct and SQL chains need it, which would read it as input."""
    streaming: bool | None = None
    """True: stream behind `invoke` too, so that callbacks see tokens. False: never stream."""
    api_key: SecretStr | None = Field(
        default_factory=secret_from_env("CHATWRIGHT_API_KEY", default=None)
    )
    """A key for whatever stands behind the model. Default: `CHATWRIGHT_API_KEY`, if set."""
    price: Price | None = None
    """What tokens cost. Default None: looked up in genai-prices, if that is installed."""
    tool_protocol: ToolProtocol | Named = "auto"
    """How tools are spoken of with a source that reads nothing but text. Default `auto`: as its
    chat template does; `hermes`, where there is none."""
    tool_retries: int | None = Field(default=1, ge=0)
    """How often to ask again where a call was forced and did not come, or can't be read. None:
    whatever comes is handed over, for a caller that looks at it itself."""
    reasoning_tags: Annotated[ReasoningTags, AfterValidator(_not_empty)] | None = ReasoningTags()
    """What stands around reasoning in the text. None: the text is left as it is."""
    keep_reasoning: bool | None = None
    """Whether earlier answers keep their reasoning when they are sent back. Default None: what a
    server has given itself goes back to servers, as many want it where tools are called."""
    roles: RolePolicy | None = None
    """What roles have to look like. Default None: what the source declares."""
    cache_key: str | None = None
    """What tells this model's answers from any other's in a cache, where its fields can't: with a
    client's object in a field, say. Default None: the fields; if they can't, nothing is cached."""

    # Errors don't show inputs: the offender's neighbour may be a key.
    model_config = ConfigDict(
        extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True
    )

    accepts: ClassVar[frozenset[str]] = frozenset()
    """Names of call parameters that are no fields; `reply` finds them in `request.parameters`."""
    has_prices: ClassVar[bool] = True
    """Whether a price that is not given is looked up by the model's name."""
    fixed: ClassVar[frozenset[str]] = frozenset(
        {"api_key", "cache_key", "price", "stop", "streaming"}
    )
    """Names of fields that a call can't set."""
    lasting: ClassVar[frozenset[str]] = frozenset()
    """Names of cached properties that hold whatever a call sets; others are made anew for it."""

    @model_validator(mode="before")
    @classmethod
    def _take_model_as_its_name(cls, values: Any) -> Any:
        """Take `model`, as calls and most of LangChain's models have it, for `model_name`."""
        if isinstance(values, dict) and "model" in values and "model" not in cls.model_fields:
            values = {**values, "model_name": values["model"]}
            del values["model"]
        return values

    # The values in force for one call.

    def for_call(self, kwargs: Mapping[str, Any]) -> tuple[Self, dict[str, Any]]:
        """Return the model with the call's values in its fields, and the call's other parameters.

        Raises:
            ParameterError: A parameter that the model does not take.
            pydantic.ValidationError: A value that its field does not take.
        """
        if not kwargs:
            return self, {}
        rest = {"model_name" if key == "model" else key: each for key, each in kwargs.items()}
        overrides = {key: rest.pop(key) for key in rest.keys() & call_fields(type(self))}
        if untaken := [key for key in rest.keys() - KNOWN if not self._takes(key)]:
            raise self._untaken(min(untaken))
        if not overrides:
            return self, rest
        copied = super().model_copy()
        for key, value in overrides.items():
            self.__pydantic_validator__.validate_assignment(copied, key, value)
        derive_anew(copied, BaseChatModel, self.lasting)
        return copied, rest

    def _untaken(self, name: str) -> ParameterError:
        return ParameterError(f"{self.model_name} takes no parameter {name!r}{self._instead(name)}")

    def _instead(self, name: str) -> str:
        if name in CONFIGURED:
            return f"; LangChain has it in the config: config={{{name!r}: …}}"
        known = (call_fields(type(self)) - {"model_name"}) | self._accepted()
        return f"; it takes {', '.join(sorted(known))}"

    def _takes(self, name: str) -> bool:
        return name in self._accepted()

    def _accepted(self) -> frozenset[str]:
        return self.accepts

    def stops_for_call(self, stop: list[str] | None) -> tuple[str, ...]:
        """Return the stop sequences in force: the call's, else the model's.

        Raises:
            ParameterError: One of them is empty or no string.
        """
        return as_stops(self.stop if stop is None else stop)

    def spoken_protocol(self) -> ToolProtocol:
        """Return the tool protocol that `tool_protocol` names."""
        named = self.tool_protocol
        if named == "auto":
            return protocol_of(self.known_template())
        return PROTOCOLS[named] if isinstance(named, str) else named

    def known_template(self) -> str:
        """Return the chat template that the source writes messages by, where that is known."""
        return ""

    # What LangChain asks.

    @property
    def _llm_type(self) -> str:
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", type(self).__name__).lower()

    @property
    def _identifying_params(self) -> dict[str, Any]:
        values = self.__dict__
        return {
            name: value for name in _told_fields(type(self)) if (value := values[name]) is not None
        }

    def _get_invocation_params(
        self, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Return what callbacks are told: as core does, less its detour for a deprecated method.

        That detour takes 30 µs of every call (`_dict_for_compat`, langchain-core 1.7.2).
        """
        kwargs.pop(RUN, None)
        return {**self.asdict(), "stop": stop, **kwargs}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        """Return what LangSmith shows of a call; the call's values come before the model's."""
        params = LangSmithParams(
            ls_provider=PROVIDER,
            ls_model_name=kwargs.get("model", self.model_name),
            ls_model_type="chat",
        )
        if (temperature := kwargs.get("temperature", self.temperature)) is not None:
            params["ls_temperature"] = temperature
        if (max_tokens := kwargs.get("max_tokens", self.max_tokens)) is not None:
            params["ls_max_tokens"] = max_tokens
        if stops := self.stops_for_call(stop):
            params["ls_stop"] = list(stops)
        return params

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        """Return the half of a cache key that stands for the model: made of the values in force.

        Core makes it of a serialization that it keeps over mutation and copies, so that two
        temperatures share a key (`language_models/chat_models.py:1621`, langchain-core 1.7.2), and
        of the `repr` of whatever has no serialization.

        Raises:
            Unidentified: A field's value can't be told from another one, and there is no
                `cache_key`.
        """
        fields = {"stop": self.stops_for_call(stop), **self._identified()}
        if (run := kwargs.get(RUN)) and self.reads_config():
            fields["configurable"] = run.chosen()
        call = {key: value for key, value in kwargs.items() if key not in TRACING}
        told = [
            {name: identity(value, name) for name, value in values.items()}
            for values in (fields, call)
        ]
        own = class_identity(type(self)) if self.cache_key is None else self.cache_key
        return f"{'.'.join(self.lc_id())}:{digest(json.dumps([own, *told], sort_keys=True))}"

    def reads_config(self) -> bool:
        """Tell whether an answer may depend on `configurable`, so that a cache key has to."""
        return True

    def _identified(self) -> dict[str, Any]:
        """Return the values by which the model is known: with a `cache_key`, by what it says."""
        values = {name: self.__dict__[name] for name in _key_fields(type(self))}
        if has_own_init(type(self), BaseChatModel):
            values |= self.__pydantic_private__ or {}
        if self.cache_key is None:
            return values
        return {name: each for name, each in values.items() if is_identified(each)}

    def _for_cache(self, stop: list[str] | None, kwargs: Mapping[str, Any]) -> Self:
        """Return the model to ask: one without a cache, where answers can't be told from others'.

        That is warned of once, with how they could be.
        """
        if self.cache is False or (self.cache is None and get_llm_cache() is None):
            return self
        try:
            self._get_llm_string(stop, **kwargs)
        except Unidentified as unknown:
            warn_uncached(self.model_name, str(unknown))
            return super().model_copy(update={"cache": False})
        return self

    @property
    def lc_attributes(self) -> dict[str, Any]:
        """Serialize a protocol as the dict that makes it."""
        own = self.tool_protocol
        return {} if isinstance(own, str) else {"tool_protocol": dataclasses.asdict(own)}

    @property
    def lc_secrets(self) -> dict[str, str]:
        """Name the environment variables that stand for secrets in the serialized form."""
        return {"api_key": "CHATWRIGHT_API_KEY"}

    def to_json(self) -> Any:
        """Serialize the model; secrets stand by the names that its own class gives them."""
        return with_own_secrets(super().to_json(), self.lc_secrets)

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Say that LangChain's `dumpd` and `load` work."""
        return True

    def __setattr__(self, name: str, value: Any) -> None:
        """Set a field; what is derived from fields is derived anew."""
        super().__setattr__(name, value)
        if name in type(self).model_fields:
            derive_anew(self, BaseChatModel)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy the model; what is derived from fields is derived anew."""
        copied = super().model_copy(update=update, deep=deep)
        if update:
            derive_anew(copied, BaseChatModel)
        return copied

    def __getstate__(self) -> dict[Any, Any]:
        """Pickle without what is derived from fields: clients hold locks, and are made anew."""
        state = super().__getstate__()
        anew = derived(type(self), frozenset())
        kept = {name: each for name, each in state["__dict__"].items() if name not in anew}
        late = {"__pydantic_private__": None} if derives_late(type(self), BaseChatModel) else {}
        return {**state, "__dict__": kept, **late}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """Take what was pickled, and derive the rest from it."""
        super().__setstate__(state)
        if derives_late(type(self), BaseChatModel):
            self.model_post_init(None)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Copy what pickle would."""
        copied = type(self).__new__(type(self))
        copied.__setstate__(copy.deepcopy(self.__getstate__(), memo))
        return copied

    # Tokens.

    def has_tokenizer(self) -> bool:
        """Tell whether tokens can be counted: by the model's own tokenizer or the user's."""
        own = type(self).get_token_ids is not Settings.get_token_ids
        return own or self.custom_get_token_ids is not None

    def get_token_ids(self, text: str) -> list[int]:
        """Return the ids of the tokens of `text`.

        Raises:
            NotImplementedError: The model has no tokenizer, and `custom_get_token_ids` is not set.
        """
        if self.custom_get_token_ids is None:
            raise NotImplementedError(
                f"{self.model_name} has no tokenizer; set custom_get_token_ids to a function that "
                "returns the token ids of a str"
            )
        return self.custom_get_token_ids(text)

    def get_num_tokens(self, text: str) -> int:
        """Return the number of tokens of `text`: counted where there is a tokenizer, else guessed.

        The guess is four characters a token, as in LangChain's `count_tokens_approximately`.
        Nothing is ever downloaded for it.
        """
        if self.has_tokenizer():
            return len(self.get_token_ids(text))
        return -(-len(text) // 4)

    @model_validator(mode="after")
    def _fill_in_model_name(self) -> Self:
        if not self.model_name:
            self.__dict__["model_name"] = self._default_model_name()
        return self

    def _default_model_name(self) -> str:
        return type(self).__name__

    @model_validator(mode="after")
    def _set_chatwright_version(self) -> Self:
        self._add_version("chatwright", VERSION)
        return self


@functools.cache
def call_fields(cls: type[Settings]) -> frozenset[str]:
    """Return the names of the fields that a call may set."""
    return frozenset(cls.model_fields.keys() - PLUMBING - cls.fixed - {"output_version"})


@functools.cache
def _key_fields(cls: type[Settings]) -> tuple[str, ...]:
    """Return the names of the fields that tell one model from another."""
    return tuple(sorted(cls.model_fields.keys() - PLUMBING - {"stop"}))


@functools.cache
def _told_fields(cls: type[Settings]) -> tuple[str, ...]:
    """Return the names of the fields that callbacks and traces are told."""
    excluded = {name for name, field in cls.model_fields.items() if field.exclude}
    return tuple(name for name in _key_fields(cls) if name not in excluded | _SECRET)
