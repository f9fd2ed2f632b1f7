"""The protocols by their names, and which of them a chat template teaches."""

import functools
from collections.abc import Mapping
from typing import Literal, TypeAlias

from chatwright.core.protocols.families import (
    DEEPSEEK_V3,
    DEEPSEEK_V3_1,
    DEEPSEEK_V3_2,
    FUNCTION_GEMMA,
    GEMMA,
    GEMMA4,
    GLM,
    HARMONY,
    KIMI_K2,
    MINIMAX,
    MINIMAX_M1,
    PHI4,
    PYTHONIC,
    QWEN3,
    QWEN3_CODER,
)
from chatwright.core.protocols.general import HERMES, LLAMA3, MISTRAL, REACT
from chatwright.core.protocols.protocol import ToolProtocol

__all__ = ["PROTOCOLS", "Named", "protocol_of"]

Named: TypeAlias = Literal[
    "auto",
    "deepseek-v3",
    "deepseek-v3.1",
    "deepseek-v3.2",
    "functiongemma",
    "gemma",
    "gemma4",
    "glm",
    "harmony",
    "hermes",
    "kimi-k2",
    "llama3",
    "minimax",
    "minimax-m1",
    "mistral",
    "phi4",
    "pythonic",
    "qwen3",
    "qwen3-coder",
    "react",
]
"""The names of protocols; `auto` is the one that a chat template teaches."""

PROTOCOLS: Mapping[str, ToolProtocol] = {
    "qwen3-coder": QWEN3_CODER,
    "glm": GLM,
    "minimax": MINIMAX,
    "minimax-m1": MINIMAX_M1,
    "kimi-k2": KIMI_K2,
    "deepseek-v3.2": DEEPSEEK_V3_2,
    "deepseek-v3": DEEPSEEK_V3,
    "deepseek-v3.1": DEEPSEEK_V3_1,
    "gemma4": GEMMA4,
    "harmony": HARMONY,
    "functiongemma": FUNCTION_GEMMA,
    "phi4": PHI4,
    "pythonic": PYTHONIC,
    "mistral": MISTRAL,
    "qwen3": QWEN3,
    "hermes": HERMES,
    "llama3": LLAMA3,
    "gemma": GEMMA,
    "react": REACT,
}
"""The protocols by their names, in the order in which a chat template is searched for them."""


@functools.lru_cache
def protocol_of(template: str) -> ToolProtocol:
    """Return the protocol that a chat template teaches, by what it writes; Hermes's, if none."""
    taught = [each for each in PROTOCOLS.values() if each.signs]
    found = (each for each in taught if all(sign in template for sign in each.signs))
    return next(found, HERMES)
