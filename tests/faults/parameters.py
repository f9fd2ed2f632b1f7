"""Faults of the section Parameters, tracing, configuration."""

import socket
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.load import dumpd
from pydantic import Field, model_validator

from faults.controls import Full
from faults.kit import fault


@fault("R1", verdict="WARN")
class TracesItsOwnName(Full):
    """The trace names the constructor's model, whatever the call's is."""

    def _get_ls_params(self, stop=None, **kwargs) -> Any:
        return {**super()._get_ls_params(stop, **kwargs), "ls_model_name": self.model_name}


@fault("R1", verdict="WARN")
class TracesNoTemperature(Full):
    """The trace does not show the temperature."""

    def _get_ls_params(self, stop=None, **kwargs) -> Any:
        params = super()._get_ls_params(stop, **kwargs)
        params.pop("ls_temperature", None)
        return params


@fault("R1", verdict="WARN")
class TracesNoStop(Full):
    """The trace does not show the stop sequences."""

    def _get_ls_params(self, stop=None, **kwargs) -> Any:
        params = super()._get_ls_params(stop, **kwargs)
        params.pop("ls_stop", None)
        return params


@fault("R1", verdict="WARN")
class TracesNoType(Full):
    """The trace does not say that it is a chat model."""

    def _get_ls_params(self, stop=None, **kwargs) -> Any:
        return {**super()._get_ls_params(stop, **kwargs), "ls_model_type": "llm"}


@fault("R2")
class ConstructorWins(Full):
    """The constructor's temperature wins over the call's."""

    def payload(self, messages, stop, kwargs):
        made = super().payload(messages, stop, kwargs)
        return made if self.temperature is None else {**made, "temperature": self.temperature}


@fault("R2", also="U5")
class CallsModelIgnored(Full):
    """A call's `model` is overlooked."""

    def payload(self, messages, stop, kwargs):
        return {**super().payload(messages, stop, kwargs), "model": self.model_name}


@fault("R2", also="A2")
class MaxTokensOnlyInSync(Full):
    """A call's `max_tokens` is overlooked by async."""

    async def areceived(self, payload):
        if self.max_tokens is not None:
            payload = {**payload, "max_tokens": self.max_tokens}
        async for each in super().areceived(payload):
            yield each


@fault("R3", verdict="WARN")  # FAIL, if it were of an installed package
class NoVersion(Full):
    """The trace does not name the package's version."""

    @model_validator(mode="after")
    def _tell_version(self):
        return self


@fault("R3", verdict="WARN")
class EmptyVersion(Full):
    """The metadata of the user take the place of the version's."""

    @model_validator(mode="after")
    def _tell_version(self):
        self.metadata = {"lc_versions": {}}
        return self


@fault("R3", verdict="WARN")
class StaleVersion(Full):
    """The trace names a version that is not the one that is installed."""

    @model_validator(mode="after")
    def _tell_version(self):
        self._add_version("httpx2", "0.0.1")
        return self


@fault("R4", verdict="WARN")
class UnknownProfileKeys(Full):
    """The profile has keys of its own."""

    def _resolve_model_profile(self) -> Any:
        return {"supports_tools": True, "context_size": 8192}


@fault("R4", verdict="WARN")
class OwnProfileWins(Full):
    """The user's profile is overwritten."""

    @model_validator(mode="after")
    def _set_profile_always(self):
        self.profile = self._resolve_model_profile()
        return self


@fault("R5", verdict="WARN")
class StreamingFalseByDefault(Full):
    """`streaming` is False by default: whoever configures a field never streams again."""

    streaming: bool = False


@fault("R5", also="B3 R1 R2 R6 K3")
class AliasWithoutName(Full):
    """A field can be set by its alias only, and `configurable_fields` sets it by its name."""

    temperature: float | None = Field(default=None, alias="temp")


@fault("R6")
class KeyOfTheFirstCall(Full):
    """The cache key is core's: that of the first call, whatever has changed since."""

    _get_llm_string = BaseChatModel._get_llm_string

    @property
    def _serialized(self) -> dict[str, Any]:
        if "_kept" not in self.__dict__:
            self.__dict__["_kept"] = dumpd(self)
        return self.__dict__["_kept"]


@fault("R6", verdict="WARN")
class KeyThatCoreKeeps(Full):
    """The cache key is core's, which it makes of what it has kept since the first call."""

    _get_llm_string = BaseChatModel._get_llm_string
    _serialized = BaseChatModel.__dict__["_serialized"]


@fault("R6")
class KeyWithoutTemperature(Full):
    """The cache key leaves the temperature out."""

    def _get_llm_string(self, stop=None, **kwargs) -> str:
        bare = self.model_copy(update={"temperature": None})
        return Full._get_llm_string(bare, stop, **kwargs)


@fault("R6")
class KeyThatRaises(Full):
    """There is no cache key, and so no answer where there is a cache."""

    def _get_llm_string(self, stop=None, **kwargs) -> str:
        raise TypeError("Object of type Client is not JSON serializable")


@fault("R6")
class KeyWithoutTools(Full):
    """The cache key leaves the tools out."""

    def _get_llm_string(self, stop=None, **kwargs) -> str:
        return super()._get_llm_string(stop, **{k: v for k, v in kwargs.items() if k != "tools"})


@fault("R6")
class KeyWithoutStop(Full):
    """The cache key leaves the stop sequences out."""

    def _get_llm_string(self, stop=None, **kwargs) -> str:
        return Full._get_llm_string(self.model_copy(update={"stop": None}), None, **kwargs)


@fault("R7")
class AsksTheLimiterToo(Full):
    """The rate limiter is asked by the model, and by core."""

    def _generate(self, *args, **kwargs):
        if self.rate_limiter:
            self.rate_limiter.acquire(blocking=True)
        return super()._generate(*args, **kwargs)


@fault("R7")
class AsksTheLimiterPerStream(Full):
    """`_astream` asks the rate limiter once more."""

    async def _astream(self, *args, **kwargs):
        if self.rate_limiter:
            await self.rate_limiter.aacquire(blocking=True)
        async for each in super()._astream(*args, **kwargs):
            yield each


@fault("R8", verdict="WARN")
class CoresTokenizer(Full):
    """Tokens are counted by core's default, which downloads GPT-2's tokenizer."""

    get_num_tokens = BaseChatModel.get_num_tokens


@fault("R8", verdict="WARN")
class AsksTheServerForTokens(Full):
    """Counting tokens asks a server."""

    def get_num_tokens(self, text: str) -> int:
        with socket.create_connection(("127.0.0.1", 9), timeout=1) as connection:
            connection.sendall(text.encode())
        return 1
