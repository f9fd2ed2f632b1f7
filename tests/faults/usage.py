"""Faults of the section Usage."""

from faults.controls import Full
from faults.kit import Results, Streams, fault, is_last
from faults.wire import Answer


@fault("U1", also="U5 A2")
class NoUsageInInvoke(Results):
    """Streams have usage, `invoke` has none."""

    def changed(self, message, kwargs):
        message.usage_metadata = None
        return message


@fault("U1", also="U3 U5 C8")
class NoUsageInStreams(Streams):
    """`invoke` has usage, streams have none."""

    def change(self, chunk, number):
        chunk.message.usage_metadata = None
        return [chunk]


@fault("U1", also="U3 U5 C8")
class UsageIsNotAskedFor(Full):
    """Usage comes by default for nobody: it is dropped unless `stream_usage` is given."""

    class reads(Answer):  # noqa: N801
        def counts(self):
            return None


@fault("U2")
class TotalOfOutputOnly(Full):
    """The total leaves the prompt out."""

    class reads(Answer):  # noqa: N801
        def counts(self):
            counts = super().counts()
            return counts and {**counts, "total_tokens": counts["output_tokens"]}


@fault("U2", also="A2")
class TotalOfStreamsIsZero(Streams):
    """The total is 0 in streams."""

    def change(self, chunk, number):
        if chunk.message.usage_metadata:
            chunk.message.usage_metadata["total_tokens"] = 0
        return [chunk]


# Sums of what is repeated differ from what invoke says.
@fault("U3", also="U6 U1 U5 A2 C8 C9 S2")
class UsageOnEveryChunk(Streams):
    """Each chunk carries the usage so far: their sum is far too much."""

    def change(self, chunk, number):
        if not is_last(chunk):
            usage = {"input_tokens": 9, "output_tokens": number, "total_tokens": 9 + number}
            chunk.message.usage_metadata = usage
        return [chunk]


@fault("U3", also="U6 C8", verdict="WARN")
class UsageInTwoParts(Streams):
    """The prompt's tokens come first, the answer's last."""

    def change(self, chunk, number):
        usage = chunk.message.usage_metadata
        if number == 0:
            chunk.message.usage_metadata = {
                "input_tokens": 9,
                "output_tokens": 0,
                "total_tokens": 9,
            }
        elif usage:
            made = usage["output_tokens"]
            chunk.message.usage_metadata = {
                "input_tokens": 0,
                "output_tokens": made,
                "total_tokens": made,
            }
        return [chunk]


@fault("U4", verdict="WARN")
class MoreReasoningThanOutput(Full):
    """Reasoning is counted beside the output, and not within it."""

    class reads(Answer):  # noqa: N801
        def counts(self):
            counts = super().counts()
            details = {"reasoning": counts["output_tokens"] + 5} if counts else {}
            return counts and {**counts, "output_token_details": details}


@fault("U4", verdict="WARN")
class MoreCachedThanInput(Full):
    """More is read from the cache than there is input."""

    class reads(Answer):  # noqa: N801
        def counts(self):
            counts = super().counts()
            details = {"cache_read": counts["input_tokens"], "cache_creation": 5} if counts else {}
            return counts and {**counts, "input_token_details": details}


@fault("U5", also="R1 M3 C8")
class NameWithPrefix(Full):
    """The `model_name` of an answer is not the model's."""

    class reads(Answer):  # noqa: N801
        def metadata(self):
            metadata = super().metadata()
            return {**metadata, "model_name": f"handmade/{metadata['model_name']}"}


@fault("U5", also="R1 M3 C8 S6")
class NameIsCalledModel(Full):
    """An answer says `model`, and not `model_name`."""

    class reads(Answer):  # noqa: N801
        def metadata(self):
            metadata = super().metadata()
            name = metadata.pop("model_name")
            return {**metadata, "model": name}


@fault("U6", verdict="WARN")
class InventsUsage(Full):
    """Where the server tells nothing, it counts words, and says so to nobody."""

    class reads(Answer):  # noqa: N801
        said = 0

        def text(self, text):
            self.said += len(text)
            return super().text(text)

        def counts(self):
            made = self.said // 4
            return super().counts() or {
                "input_tokens": 7,
                "output_tokens": made,
                "total_tokens": 7 + made,
            }


@fault("U6", verdict="WARN")
class ZeroForUnknown(Full):
    """Where the server tells nothing, usage is 0."""

    class reads(Answer):  # noqa: N801
        def counts(self):
            return super().counts() or {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
