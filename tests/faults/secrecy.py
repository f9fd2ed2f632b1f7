"""Faults of the section Serialization and secrets."""

import logging
import threading
from typing import Any

from langchain_core.exceptions import ModelError
from pydantic import Field, PrivateAttr, SecretStr

from faults.controls import Full
from faults.kit import Results, fault


@fault("K1")
class KeyInRepr(Full):
    """The model shows its key: a `__repr__` by hand."""

    def __repr__(self) -> str:
        key = self.api_key.get_secret_value() if self.api_key else None
        return f"{type(self).__name__}(model_name={self.model_name!r}, api_key={key!r})"


@fault("K1")
class HeadersInParams(Full):
    """`_identifying_params`, which callbacks get, holds the request's headers."""

    @property
    def _identifying_params(self) -> dict[str, Any]:
        headers = self.request({})["headers"]
        return {**super()._identifying_params, "headers": headers}


@fault("K1")
class KeyInErrors(Full):
    """Errors show the request with its headers."""

    def translated(self, error):
        known = super().translated(error)
        return type(known)(f"{known} ({self.request({})['headers']})")


@fault("K1")
class KeyInCause(Full):
    """The cause of an error shows the request with its headers."""

    def waits(self, error, attempt, *, begun):
        if isinstance(error, ModelError):
            raise error from RuntimeError(f"request failed: {self.request({})}")
        return super().waits(error, attempt, begun=begun)


@fault("K1")
class KeyInNotes(Full):
    """Errors have a note with the headers."""

    def translated(self, error):
        known = super().translated(error)
        known.add_note(f"headers: {self.request({})['headers']}")
        return known


@fault("K1")
class KeyInLogs(Full):
    """The request is logged at DEBUG, with its headers."""

    def request(self, payload):
        made = super().request(payload)
        logging.getLogger("handmade").debug("request %s", made)
        return made


@fault("K1")
class KeyInCacheKey(Full):
    """The cache key is made of everything."""

    def _get_llm_string(self, stop=None, **kwargs) -> str:
        key = self.api_key.get_secret_value() if self.api_key else ""
        return super()._get_llm_string(stop, **kwargs) + key


@fault("K1")
class KeyInMetadata(Results):
    """`response_metadata` holds the request's headers."""

    def changed(self, message, kwargs):
        message.response_metadata["request_headers"] = self.request({})["headers"]
        return message


@fault("K1", verdict="WARN")  # the server has shown it first
class KeyEchoed(Full):
    """A server that shows the key in its error is passed on as it is."""

    def secrets(self):
        return []


@fault("K1", verdict="WARN")
class PlainHeaders(Full):
    """`default_headers` are shown as they are."""

    default_headers: dict[str, str] | None = None

    def request(self, payload):
        bare = self.model_copy(update={"default_headers": None})
        made = Full.request(bare, payload)
        return {**made, "headers": {**made["headers"], **(self.default_headers or {})}}

    def secrets(self):
        return [self.api_key.get_secret_value()] if self.api_key else []


@fault("K1")
class KeyIsDumped(Full):
    """`lc_secrets` is forgotten, and a plain copy of the key is a field."""

    plain_key: str = ""

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        if self.api_key:
            self.plain_key = self.api_key.get_secret_value()


@fault("K2", verdict="WARN")
class NoEnvironment(Full):
    """The key is not looked for in the environment."""

    api_key: SecretStr | None = None


@fault("K3")
class WrongNamespace(Full):
    """`get_lc_namespace` names a place where the class is not."""

    @classmethod
    def get_lc_namespace(cls) -> list[str]:
        return ["faults", "handmade", "chat_models"]


@fault("K3")
class MoreAttributes(Full):
    """`lc_attributes` has what the constructor does not take."""

    @property
    def lc_attributes(self) -> dict[str, Any]:
        return {"llm_type": self._llm_type}


@fault("K3")
class FieldIsLost(Full):
    """A field is excluded from serialization, and is not the same afterwards."""

    temperature: float | None = Field(default=None, exclude=True)


@fault("K4", verdict="WARN")
class HoldsALock(Full):
    """A used model holds a lock, which does not pickle."""

    _lock: Any = PrivateAttr(default=None)

    def request(self, payload):
        self._lock = self._lock or threading.Lock()
        return super().request(payload)


@fault("K4", verdict="WARN")
class HoldsAFunction(Full):
    """A used model holds a function of its own, which does not pickle."""

    _hook: Any = PrivateAttr(default=None)

    def request(self, payload):
        self._hook = lambda: payload
        return super().request(payload)
