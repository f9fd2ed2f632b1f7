"""Modelled on: application repositories with a `llm_factory.py`, where one function makes the chat model of the whole
application: a thin subclass of `langchain_openai`'s `BaseChatOpenAI` for the company's OpenAI-compatible gateway,
with a header that names the calling team, and presets ("fast", "careful").

Right: everything that matters is inherited; what is overridden (type, provider in traces, secrets, the header) is
done by the base class's own hooks. An unknown preset is refused by name. Async connections are not kept alive, so
that one model can serve several event loops.

MODEL: make_chat_model
KWARGS: {}
WIRE: openai
"""

from __future__ import annotations

from typing import Any

import httpx
from langchain_core.language_models.base import LangSmithParams
from langchain_openai.chat_models.base import BaseChatOpenAI

PRESETS: dict[str, dict[str, Any]] = {
    "fast": {"temperature": 0.0, "max_tokens": 512},
    "careful": {"temperature": 0.2, "max_tokens": 4096},
}


class HouseGatewayChat(BaseChatOpenAI):
    """The gateway speaks chat completions; only names and traces differ."""

    @property
    def _llm_type(self) -> str:
        return "house-gateway"

    @property
    def lc_secrets(self) -> dict[str, str]:
        return {"openai_api_key": "HOUSE_GATEWAY_TOKEN"}

    @classmethod
    def is_lc_serializable(cls) -> bool:
        # `load` could not find a class of an application: do not claim it.
        return False

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {**super()._identifying_params, "base_url": self.openai_api_base}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = "house"
        return params


def make_chat_model(
    preset: str = "careful",
    *,
    base_url: str = "http://127.0.0.1:8000/v1",
    model: str = "house-large",
    token: str | None = None,
    team: str = "platform",
    **overrides: Any,
) -> HouseGatewayChat:
    """Make the chat model; `overrides` are fields of the model and win over the preset."""
    try:
        settings = dict(PRESETS[preset])
    except KeyError:
        raise ValueError(f"no preset {preset!r}: there are {', '.join(sorted(PRESETS))}") from None
    settings.update(overrides)
    return HouseGatewayChat(
        base_url=base_url,
        model=model,
        api_key=token or "no-token",
        default_headers={"X-Team": team},
        stream_usage=True,
        # The default pool of async connections would be shared by event loops.
        http_async_client=httpx.AsyncClient(limits=httpx.Limits(max_keepalive_connections=0)),
        **settings,
    )
