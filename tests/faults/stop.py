"""Faults of the section Stop."""

from faults.controls import Full
from faults.kit import fault
from faults.wire import Answer, Stops, with_stops


@fault("P1", also="P2 P3 P4 P6 P7")  # nothing about stops can hold
class IgnoresStop(Full):
    """`stop` is taken, and does nothing."""

    def answer(self, stop):
        self.stops(stop)
        return self.reads(self.model_name, self.provider, [])


@fault("P1", also="P2 P3 P4 P6 P7")
class HalfOfTheStop(Full):
    """The text ends in the middle of the stop sequence."""

    class reads(Answer):  # noqa: N801
        def text(self, text):
            return super().text(text[:-1] if self.done else text)


class FirstInTheList(Stops):
    def feed(self, text):
        text = self.held + text
        for stop in self.stops:
            if stop in text:
                self.matched, self.held = stop, ""
                return text[: text.index(stop) + len(stop)]
        return super().feed(text[len(self.held) :])


@fault("P2")
class ListOrder(Full):
    """The first stop of the list wins, and not the first in the text."""

    reads = with_stops(FirstInTheList)


class LastWins(Stops):
    def feed(self, text):
        text, before = self.held + text, len(self.held)
        found = [(text.find(s) + len(s), s) for s in self.stops if s in text]
        if not found:
            return super().feed(text[before:])
        end, self.matched = max(found)
        self.held = ""
        return text[:end]


@fault("P2")
class LatestWins(Full):
    """The latest of several stops wins."""

    reads = with_stops(LastWins)


class PerChunk(Stops):
    def _may_begin(self, text):
        return len(text)


@fault("P3", also="P1 P2 P6")  # however the text was cut
class PerChunkOnly(Full):
    """A stop sequence is looked for in each piece by itself."""

    reads = with_stops(PerChunk)


class AllHeld(Stops):
    def _may_begin(self, text):
        return 0


@fault("P3", also="P6")
class HoldsAllBack(Full):
    """Where stops are given, nothing is sent before the end."""

    class reads(with_stops(AllHeld)):  # noqa: N801
        def __init__(self, model_name, provider, given) -> None:
            super().__init__(model_name, provider, given)
            if not given:
                self.stops = Stops(given)


class TooShort(Stops):
    def _may_begin(self, text):
        for at in range(max(0, len(text) - 1), len(text)):
            if any(stop.startswith(text[at:]) for stop in self.stops):
                return at
        return len(text)


@fault("P3", also="P1 P2 P6")
class HoldsOneBack(Full):
    """Only the last character is held back, so that longer beginnings leak."""

    reads = with_stops(TooShort)


@fault("P4", also="R6")  # what is ignored makes no other key
class ConstructorsIgnored(Full):
    """The constructor's `stop` is taken, and not applied."""

    def stops(self, stop):
        return self.checked(stop or [])


@fault("P4")
class BothApply(Full):
    """A call's `stop` is added to the constructor's."""

    def stops(self, stop):
        return self.checked([*(self.stop or []), *(stop or [])])


@fault("P4", also="P5")  # P5: none at all is a replacement, too
class ConstructorsWins(Full):
    """The constructor's `stop` wins over a call's."""

    def stops(self, stop):
        return self.checked(self.stop or stop or [])


@fault("P5", verdict="WARN")
class EmptyStopTaken(Full):
    """An empty string in `stop` is not refused."""

    @classmethod
    def checked(cls, stop):
        return [each for each in ([stop] if isinstance(stop, str) else stop) if each]


@fault("P5")
class EmptyStopEndsAll(Full):
    """An empty string in `stop` ends every answer at once."""

    @classmethod
    def checked(cls, stop):
        return [stop] if isinstance(stop, str) else list(stop)


@fault("P4", also="P5", verdict="WARN")  # opinions differ
class EmptyListIsConstructors(Full):
    """`stop=[]` is taken for no `stop`: `stop or self.stop`."""

    def stops(self, stop):
        return self.checked(stop or self.stop or [])


@fault("P6", also="P1 P2 P4 P7 A2")
class InvokeIgnoresStop(Full):
    """`stop` is honoured by streams only."""

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        return super()._generate(messages, [], run_manager, **kwargs)

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        return await super()._agenerate(messages, [], run_manager, **kwargs)


@fault("P6", also="P1 P2 P4 P7 A2")
class AstreamIgnoresStop(Full):
    """`astream` has forgotten `stop`."""

    def _astream(self, messages, stop=None, run_manager=None, **kwargs):
        return super()._astream(messages, [], run_manager, **kwargs)


class Deaf(Answer):
    over = False

    @property
    def done(self):
        return False

    def delta(self, delta):
        return [] if self.stops.matched else super().delta(delta)

    def metadata(self):
        told = {"finish_reason": "stop", "stop_sequence": self.stops.matched}
        return {**super().metadata(), **(told if self.stops.matched else {})}


@fault("P6", also="P3")
class ReadsToTheEnd(Full):
    """Behind the stop it goes on reading, and paying, and throws it away."""

    reads = Deaf


class SaysLength(Answer):
    def metadata(self):
        return {**super().metadata(), **({"finish_reason": "length"} if self.done else {})}


@fault("P7", verdict="WARN")
class StoppedIsLength(Full):
    """An answer that a stop ended says that its length did."""

    reads = SaysLength


class SaysNothing(Answer):
    def metadata(self):
        metadata = super().metadata()
        return metadata if not self.done else {**metadata, "finish_reason": None}


@fault("P7", verdict="WARN")
class StoppedIsNone(Full):
    """An answer that a stop ended has no finish reason."""

    reads = SaysNothing


class SaysTheFirst(Answer):
    def metadata(self):
        metadata = super().metadata()
        return metadata | ({"stop_sequence": self.stops.stops[0]} if self.done else {})


@fault("P7", verdict="WARN")
class NamesTheWrongStop(Full):
    """The sequence that is said to have matched is the first of the list."""

    reads = SaysTheFirst
