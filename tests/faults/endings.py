"""Faults of endings: refusals, and why an answer ended."""

from faults.controls import Full
from faults.kit import Results, Streams, fault
from faults.wire import Answer, chunk


@fault("M8")
class StreamsLoseRefusals(Streams):
    """A refusal is in invoke's message, and in no chunk."""

    def change(self, chunk, number):
        chunk.message.additional_kwargs.pop("refusal", None)
        return [chunk]


@fault("M8")
class RefusalsAreText(Full):
    """The words of a refusal are the answer's text."""

    class reads(Answer):  # noqa: N801
        def refusal(self, text):
            return [chunk(content=text)]


@fault("M8", verdict="WARN")
class NoRefusals(Full):
    """A refusal is an empty answer."""

    class reads(Answer):  # noqa: N801
        def refusal(self, text):
            return []


@fault("S15", verdict="WARN")
class AlwaysCompleted(Full):
    """Whatever ended the answer, it is said to have stopped by itself."""

    class reads(Answer):  # noqa: N801
        def metadata(self):
            return {**super().metadata(), "normalized_finish_reason": "stop"}


@fault("S15", verdict="WARN")
class OnlyWholeAnswersHaveAName(Streams):
    """A stream's end has no normalized reason."""

    def change(self, chunk, number):
        chunk.message.response_metadata.pop("normalized_finish_reason", None)
        return [chunk]


@fault("S15", also="A2", verdict="WARN")
class WholeAnswersAreCut(Results):
    """The state is `incomplete`, however an answer of invoke ended."""

    def changed(self, message, kwargs):
        message.response_metadata["finish_state"] = "incomplete"
        return message
