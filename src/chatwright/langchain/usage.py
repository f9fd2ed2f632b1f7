"""What an answer has taken, in tokens."""

from typing import cast

from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata

from chatwright.core.answer import Answer
from chatwright.langchain.abilities import Abilities
from chatwright.langchain.request import Request

__all__ = ["usage_of"]


def usage_of(
    model: Abilities, request: Request, answer: Answer
) -> tuple[UsageMetadata | None, bool]:
    """Return an answer's usage, and whether it is an estimate: the source's, else the tokenizer's.

    Args:
        model: The model.
        request: What was asked.
        answer: It has ended.
    """
    given = answer.usage
    spent = given.input_tokens if given else None
    made = given.output_tokens if given else None
    estimated = bool(given and given.estimated)
    if (spent is None or made is None) and model.has_tokenizer():
        estimated = True
        if spent is None:
            spent = sum(len(model.get_token_ids(each.text)) for each in request.messages)
        if made is None:
            said = [*answer.reasoning, *answer.text, *answer.unsaid]
            written = [*said, *answer.calls]
            made = len(model.get_token_ids("".join(written)))
    if spent is None or made is None:
        return None, False
    usage = UsageMetadata(input_tokens=spent, output_tokens=made, total_tokens=spent + made)
    if given and given.input_token_details:
        usage["input_token_details"] = cast("InputTokenDetails", {**given.input_token_details})
    if given and given.output_token_details:
        details = cast("OutputTokenDetails", {**given.output_token_details})
        usage["output_token_details"] = details
    return usage, estimated
