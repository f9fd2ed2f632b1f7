"""What a run may cost: reserved before it is spent, so that it is never overrun."""

import asyncio
import json

from chatwright.errors import BatchError
from chatwright.langchain import prices
from chatwright.run.batch.row import Job, Row
from chatwright.run.conforming import ATTEMPTS

__all__ = ["Budget"]

_LENGTHS = ("max_tokens", "max_completion_tokens")
_PER_MESSAGE = 16
"""Tokens that a message takes beside its text: marks of roles, and of its end."""


class Budget:
    """What a run may cost.

    Args:
        job: What is asked of which model.
        usd: The most that all answers together may cost; None for any amount.
        spent: What earlier runs spent of it.
        share: What of the price is paid.
        attempts: How often a row is asked at most whose answer has to conform. Default: as often
            as `Conforming` does.

    Raises:
        BatchError: There is a budget, and what a row may cost can't be told.
    """

    def __init__(
        self,
        job: Job,
        usd: float | None,
        spent: float,
        *,
        share: float = 1.0,
        attempts: int = ATTEMPTS,
    ) -> None:
        """Look up the prices."""
        self.usd = usd
        self.spent = spent
        self._reserved = 0.0
        self._open = 0
        self._settled = asyncio.Event()
        self._model = job.model
        self._share = share
        self._most_tokens = job.parameters.get("max_tokens") or job.model.max_tokens
        given = [*job.tools, job.response_format, job.system]
        self._system = len(json.dumps(given, default=str).encode())
        self._attempts = attempts if job.response_format is not None else 1
        if usd is None:
            return
        if self._cost(1, 1) is None:
            raise BatchError(
                f"no price is known for {job.model.model_name!r} in USD, so that no budget can be "
                "kept to; give the model a price, Price(input, output), or install "
                "'chatwright[prices]'"
            )
        if self._most_tokens is None:
            raise BatchError(
                "how long an answer may get is not known, so that no budget can be kept to; say "
                "it with --max-tokens"
            )

    def _cost(self, tokens_in: int, tokens_out: int) -> float | None:
        usage = {
            "input_tokens": tokens_in,
            "output_tokens": tokens_out,
            "total_tokens": tokens_in + tokens_out,
        }
        cost = prices.cost_of(usage, self._model.price, self._model.model_name)  # type: ignore[arg-type]  # a TypedDict
        return cost["total"] * self._share if cost and cost["currency"] == "USD" else None

    def most(self, row: Row) -> float:
        """Return what a row may cost at most, in USD; 0 where any amount may be spent.

        Args:
            row: The row.
        """
        if self.usd is None:
            return 0.0
        most = max(self._most_tokens or 0, *(row.own(name) or 0 for name in _LENGTHS))
        size = row.size + self._system + (row.messages + 1) * _PER_MESSAGE
        return (self._cost(size, most) or 0.0) * self._attempts

    def allows(self, cost: float) -> bool:
        """Tell whether so much is left, beside what is set aside.

        Args:
            cost: How much, in USD.
        """
        return self.usd is None or self.spent + self._reserved + cost <= self.usd

    def hold(self, cost: float, rows: int) -> None:
        """Set aside what some rows may cost.

        Args:
            cost: What they may cost together, in USD.
            rows: How many they are.
        """
        self._reserved += cost
        self._open += rows

    async def reserve(self, row: Row) -> float | None:
        """Set aside what a row may cost at most; None where so much is not left.

        While others are being answered it waits for those, for they take less than was set aside.

        Args:
            row: The row.
        """
        if self.usd is None:
            return 0.0
        cost = self.most(row)
        while not self.allows(cost):
            if not self._open:
                return None
            self._settled.clear()
            await self._settled.wait()
        self.hold(cost, 1)
        return cost

    def settle(self, reserved: float, cost: float | None) -> None:
        """Take what a request cost out of what was set aside for it.

        Args:
            reserved: What was set aside.
            cost: What it cost; None where that is not known: then all of it.
        """
        if self.usd is None:
            return
        self._open -= 1
        self._reserved = self._reserved - reserved if self._open else 0.0
        self.spent += reserved if cost is None else cost
        self._settled.set()
