"""How many replicas there are, what each needs, and how they are asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Scale"]

_ONGOING = 4
"""As many answers as `ChatGGUF` makes at once."""
_ROUNDING = 1e-6
"""Ray counts in ten-thousandths."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How many replicas there are, what each needs, and how they are asked.

    Args:
        least: How many there are at least; with 0 the first request waits for one to start.
        most: How many there are at most.
        cpus: CPUs that each needs; None for whoever starts them to say.
        gpus: GPUs that each needs.
        ongoing: How many requests a replica should have under way. With more of them on average
            another replica is started; one is given twice as many at most, and further ones wait
            for whichever is free first. None for 4 where replicas scale, and else for no limit.
        up_seconds: For how long there have to be too many requests before a replica is started.
        down_seconds: For how long there have to be too few before one is ended.
        attempts: How often a request is given to a replica, as long as nothing has come of it.
        wait_seconds: How long a request may wait for a replica.
        place_seconds: How long the cluster may take to give what the first replicas need.

    Raises:
        ValueError: `least` and `most` are no such numbers.
    """

    least: int = 1
    most: int = 1
    cpus: float | None = None
    gpus: float = 0.0
    ongoing: int | None = None
    up_seconds: float = 5.0
    down_seconds: float = 300.0
    attempts: int = 3
    wait_seconds: float = 300.0
    place_seconds: float = 60.0

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not 0 <= self.least <= self.most or self.most < 1:
            raise ValueError(f"replicas: {self.least} and {self.most} are not a least and a most")

    @property
    def is_fixed(self) -> bool:
        """Whether there are always as many."""
        return self.least == self.most

    @property
    def target(self) -> int | None:
        """How many requests a replica should have; None for any number."""
        return _ONGOING if self.ongoing is None and not self.is_fixed else self.ongoing

    @property
    def needs(self) -> dict[str, float]:
        """What a replica needs, by Ray's names."""
        both = (("CPU", self.cpus or 0.0), ("GPU", self.gpus))
        return {name: each for name, each in both if each}

    def summary(self, labels: Sequence[str], machines: Sequence[Mapping[str, float]]) -> str:
        """Return in a line what replicas need, and what there is.

        Args:
            labels: What they are replicas of.
            machines: What each machine of the cluster has, by Ray's names.
        """
        least, most = self.least, self.most
        numbers = f"{least} to {most} replicas" if least < most else _counted(most, "replica")
        needs = f"with {_told(self.needs)} each" if self.needs else "without a CPU of their own"
        names = self.needs or ("CPU",)
        has = _told({name: sum(each.get(name, 0.0) for each in machines) for name in names})
        return f"{numbers} of {', '.join(labels)}, {needs}; the cluster has {has}"

    def fitting(self, machines: Sequence[Mapping[str, float]]) -> float:
        """Return how many replicas fit into a cluster where nothing else is.

        Args:
            machines: What each machine has.
        """
        return sum(_fitting(each, self.needs) for each in machines)

    def lack(
        self, count: int, machines: Sequence[Mapping[str, float]], free: Mapping[str, float]
    ) -> str:
        """Return what a cluster lacks for so many replicas; nothing where it lacks nothing.

        Args:
            count: How many.
            machines: What each machine has.
            free: What is free of all that.
        """
        needs = _told(self.needs)
        if self.fitting(machines) < 1:
            names = self.needs
            most = {name: max((e.get(name, 0.0) for e in machines), default=0.0) for name in names}
            return f"a replica needs {needs}; a machine of the cluster has {_told(most)} at most"
        for name, each in self.needs.items():
            total = sum(machine.get(name, 0.0) for machine in machines)
            left = free.get(name, 0.0)
            if count * each > left:
                wanted, has = _told({name: count * each}), _told({name: total})
                return f"{count} replicas need {wanted}; the cluster has {has}, {left:g} of it free"
        if self.fitting(machines) < count:
            return f"{count} replicas need {needs} each; so many do not fit onto the machines"
        return ""


def _told(resources: Mapping[str, float]) -> str:
    return " and ".join(_counted(number, name) for name, number in resources.items())


def _counted(number: float, what: str) -> str:
    return f"{number:g} {what}" if number == 1 else f"{number:g} {what}s"


def _fitting(machine: Mapping[str, float], needs: Mapping[str, float]) -> float:
    each = (machine.get(name, 0.0) / number for name, number in needs.items())
    return min((int(number + _ROUNDING) for number in each), default=float("inf"))
