"""A tenant's door to a server of OpenAI's Responses: ChatOpenAI with a header and an address of its own.

Modelled on: platform repositories that subclass `ChatOpenAI` rather than write a model, to set the address,
a tenant header and the Responses API once for everybody.

What is right: nothing that ChatOpenAI does is done again; the header is set where ChatOpenAI makes its
clients; the async client keeps no connection open, so that the model outlives an event loop; a stream that
ends before `response.completed` is an error; stop sequences, which Responses lacks and ChatOpenAI drops
here, are refused; the class says that it is not one of LangChain's serializable ones (its name could not be loaded),
and so brings what a cache key needs: address and tenant besides ChatOpenAI's own parameters. The key stays
a secret.

MODEL: TenantResponses
KWARGS: {}
WIRE: responses
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
from langchain_core.language_models import LanguageModelInput
from langchain_core.outputs import ChatGenerationChunk
from langchain_openai import ChatOpenAI
from pydantic import Field, SecretStr, model_validator


class BrokenOff(RuntimeError):
    """The stream ended before the answer did."""


def _ended(chunk: ChatGenerationChunk) -> bool:
    metadata = {**(chunk.generation_info or {}), **chunk.message.response_metadata}
    return metadata.get("status") in ("completed", "incomplete")


class TenantResponses(ChatOpenAI):
    """ChatOpenAI for one tenant, over the Responses API."""

    openai_api_base: str | None = Field(default="http://127.0.0.1:8000/v1", alias="base_url")
    openai_api_key: SecretStr | None = Field(default=SecretStr("set-me"), alias="api_key")
    model_name: str = Field(default="tenant-large", alias="model")
    use_responses_api: bool | None = True
    tenant: str = "shared"

    @model_validator(mode="before")
    @classmethod
    def _tenant_header(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        headers = dict(values.get("default_headers") or {})
        headers.setdefault("X-Tenant", values.get("tenant", "shared"))
        values = {**values, "default_headers": headers}
        if values.get("http_async_client") is None:
            # ChatOpenAI's own is pooled for the whole process, and its connections belong to one event loop
            values["http_async_client"] = httpx2.AsyncClient(
                timeout=120, limits=httpx2.Limits(max_keepalive_connections=0)
            )
        return values

    @property
    def _llm_type(self) -> str:
        return "tenant-responses"

    def _get_request_payload(
        self, input_: LanguageModelInput, *, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        if stop or self.stop:
            raise NotImplementedError("The Responses API has no stop sequences")
        return super()._get_request_payload(input_, **kwargs)

    @classmethod
    def is_lc_serializable(cls) -> bool:
        return False

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            **super()._identifying_params,
            "base_url": self.openai_api_base,
            "tenant": self.tenant,
        }

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        whole = False
        for chunk in super()._stream(*args, **kwargs):
            whole = whole or _ended(chunk)
            yield chunk
        if not whole:
            raise BrokenOff("The stream ended before the answer did")

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        whole = False
        async for chunk in super()._astream(*args, **kwargs):
            whole = whole or _ended(chunk)
            yield chunk
        if not whole:
            raise BrokenOff("The stream ended before the answer did")
