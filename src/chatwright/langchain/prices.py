"""What an answer costs. The one file that imports genai-prices."""

import threading
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.messages.ai import AIMessage, UsageMetadata
from langchain_core.outputs import ChatGeneration, LLMResult

__all__ = ["CostCallbackHandler", "Price", "cost_of", "ready"]

_PER = 1_000_000


class Price(NamedTuple):
    """What tokens cost; a plain tuple `(input, output, currency)` serves as well.

    Args:
        input: Price of a million input tokens.
        output: Price of a million output tokens.
        currency: The currency of both, by its ISO 4217 code.
    """

    input: float
    output: float
    currency: str = "USD"


def cost_of(usage: UsageMetadata, price: Price | None, model: str) -> dict[str, Any] | None:
    """Return an answer's cost as `{"input", "output", "total", "currency"}`.

    Args:
        usage: The tokens spent.
        price: The price, or None to look `model` up in genai-prices, if that is installed.
        model: The model's exact name.

    Returns:
        The cost, or None where no price is known.
    """
    if price is not None:
        spent = usage["input_tokens"] * price.input / _PER
        made = usage["output_tokens"] * price.output / _PER
        currency = price.currency
    else:
        found = _looked_up(model, usage)
        if found is None:
            return None
        spent, made, currency = *found, "USD"
    return {"input": spent, "output": made, "total": spent + made, "currency": currency}


def ready() -> bool:
    """Tell whether a price is looked up at once: the first time takes half a second."""
    return _genai_prices.cache_info().currsize > 0


@cache
def _genai_prices() -> Any:
    try:
        import genai_prices  # noqa: PLC0415  half a second, only when needed
    except ImportError:
        return None
    genai_prices.data_snapshot.get_snapshot()  # the larger part of it is imported with this
    return genai_prices


def _looked_up(model: str, usage: UsageMetadata) -> tuple[float, float] | None:
    library = _genai_prices()
    if library is None or model in _unknown:
        return None
    counts = library.Usage(
        input_tokens=usage["input_tokens"],
        output_tokens=usage["output_tokens"],
        cache_read_tokens=usage.get("input_token_details", {}).get("cache_read"),
    )
    try:
        found = library.calc_price(counts, model_ref=model)
    except LookupError:
        _unknown.add(model)
        return None
    except ValueError:  # counts that make no sense, details above their total for one
        return None
    return float(found.input_price), float(found.output_price)


_unknown: set[str] = set()


class CostCallbackHandler(UsageMetadataCallbackHandler):
    """Sums tokens and cost per model over everything that it is passed to, a whole graph too.

    Attributes:
        usage_metadata: The tokens by model name, as LangChain's own handler keeps them.
        costs: The cost by model name and currency: `{"gpt-4o": {"USD": 0.0031}}`. Answers
            without a known price add nothing.

    Example:
        ```python
        costs = CostCallbackHandler()
        graph.invoke(state, config={"callbacks": [costs]})
        print(costs.usage_metadata, costs.costs)
        ```
    """

    def __init__(self) -> None:
        """Start at nothing."""
        super().__init__()
        self.costs: dict[str, dict[str, float]] = {}
        self._costs_lock = threading.Lock()

    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        """Add one answer."""
        super().on_llm_end(response, **kwargs)
        for generation in (each for group in response.generations for each in group):
            if isinstance(generation, ChatGeneration) and isinstance(generation.message, AIMessage):
                usage: Mapping[str, Any] = generation.message.usage_metadata or {}
                if usage.get("total_cost") != 0:  # core's mark of an answer out of a cache
                    self._add(generation.message.response_metadata)

    def _add(self, metadata: Mapping[str, Any]) -> None:
        model, cost = metadata.get("model_name"), metadata.get("cost")
        if not (isinstance(model, str) and isinstance(cost, Mapping)):
            return
        with self._costs_lock:
            sums = self.costs.setdefault(model, {})
            sums[cost["currency"]] = sums.get(cost["currency"], 0.0) + cost["total"]
