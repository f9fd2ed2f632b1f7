"""What has changed in the contract, by its versions: reports name the one that they judge by."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

__all__ = ["CHANGES", "CONTRACT", "Change", "version_of"]


class Change(NamedTuple):
    """A version of the contract.

    Args:
        version: Its number.
        why: What it is about.
        rules: What has changed, by the rules' ids; `new` where a rule is.
    """

    version: str
    why: str
    rules: Mapping[str, str]


CHANGES: Sequence[Change] = (
    Change(
        "5",
        "a refusal that names what is refused is a warning; what a maintainer would dispute",
        {
            "O1": "any kind of schema may be refused by name, but not all of them",
            "O2": "an unknown method that is taken is a warning, and one that is warned of by name "
            "is refused; a class may refuse all methods by name",
            "O4": "`include_raw` may be refused by name",
            "P4": "a constructor's and a call's `stop` at once may be refused by name",
            "R2": "a parameter of the constructor that the backend does not have may be refused by "
            "name when it is sent",
            "R6": "a model that has no key, and stays out of caches, is passed over",
            "T2": "a tool's name may be refused by name; where `bind_tools` documents that one of "
            "several tools can't be forced, another one is a warning",
            "T3": "an empty list of tools is judged on OpenAI's wires alone",
            "T14": "that `strict` is lost fails only where `bind_tools` names it, and not where it "
            "is always on",
            "A5": "sync calls inside a running loop may be refused by words that name async ones",
            "C2": "callbacks of v3 that are odd are a warning",
            "M1": "reasoning in `additional_kwargs` alone, in every mode, is a warning",
            "M4": "a medium that is not declared, and whose block goes out empty, is a warning",
            "B9": "fields are compared, and not what a class adds to its messages beside them",
            "E6": "a refusal may be answered by another key",
            "S6": "a warning for models without a backend that can play scripts",
        },
    ),
    Change(
        "4",
        "what a model does not say it takes, and what is lost unseen",
        {
            "T2": "True and OpenAI's object have to force a call where `bind_tools` says that it "
            "takes them; else their error is a warning, and what is dropped fails. A live model "
            "that refuses to force calls has a warning",
            "T14": "an option that is sent as a parameter of the whole request, and that "
            "`bind_tools` does not name, is a warning",
            "T8": "a live model that refuses to force calls is asked without",
            "T1": "a binding of another model than the one that was asked is a warning",
            "E1": "a bare exception that tells the status, or what the server said, is a warning; "
            "a whole answer of Responses that failed has to be an error",
            "E2": "an error that the stream tells counts on Responses' wire, too",
            "E7": "the id of another conversation's answer may not be sent",
            "U1": "over Anthropic's wire, the prompt's count may be told at the start alone",
            "R6": "what core's `_serialized` keeps is a warning",
            "B7": "whether a refusal may be the text is M8's",
            "C2": "`streaming=True` that is sent to the server as a parameter is not tried",
            "K3": "a secret that `lc_secrets` names twice is handed to `load`",
        },
    ),
    Change(
        "3",
        "what real models lost unseen",
        {
            "B7": "a refusal that is named may be of any class, but no accident of Python's",
            "K4": "a copy that sends another request fails; headers count as well, and all ways "
            "are tried where one is refused",
            "C1": "stop sequences that come, and streams that are closed, are tried",
            "E2": "an error that the stream tells and that is passed over fails, on Anthropic's "
            "and Ollama's wires too",
            "E4": "SimpleChatModel's `_agenerate` is core's, whose threads go on: a warning",
            "E7": "new",
            "A1": "with tools and a stop sequence, too",
            "A5": "many calls at once in each of two loops; with retries, one after the other",
            "M4": "several images, images by their address, and images in tools' results",
            "M5": "a refusal that names the block of v1 is a warning, whatever its class",
            "M8": "as for B7",
            "T2": "True and OpenAI's object force a call, or are refused by name",
            "K1": "keys by any vendor's name, such as `apikey`",
            "R6": "calls' values are no model's own defaults",
            "T14": "`strict` is looked for where `parallel_tool_calls` is refused, too",
            "O2": "`strict=True` has to be sent on OpenAI's wires; core's own drops it, a warning",
            "A2": "what differs in each request of one way, such as an id, is no difference",
            "K3": "skipped where `dumpd` says that this model can't be stored",
        },
    ),
    Change(
        "2",
        "models as they are published: what irritates warns, and what loses something fails",
        {
            "B1": "a model that async code alone can call fails here, and is tried by async calls",
            "B2": "what `_identifying_params` lacks is a warning",
            "B3": "what the constructor has no name for is a warning, what it drops fails",
            "B7": "null stands beside a refusal; an error of the model's own is right there",
            "B10": "prompts and answers may be decorated: what counts is the question's number",
            "B11": "new",
            "S16": "new",
            "S4": "core's id and the provider's may stand beside each other",
            "S11": "that `streaming=False` changes nothing is a warning",
            "S13": "a warning where content stays a str: wrappers don't tell the inner model",
            "C10": "ids as for S4",
            "T1": "bind_tools may return any Runnable, such as a copy of the model",
            "T2": "`any` may go out as it is to providers that know it (Fireworks)",
            "T4": "a warning where a provider's own tools don't arrive: not all backends have some",
            "T6": "a list as arguments that raises is a warning",
            "T7": "a warning in streams, where core's sum completes what was cut",
            "T9": "a warning",
            "T10": "a warning under v1 alone, into which core translates chunks",
            "T11": "likewise",
            "T12": "results may be told by the prompt",
            "T13": "a refusal that names the block is a warning",
            "M2": "a warning under v1, as for T10",
            "M5": "a named error of the model's own under v1 is a warning",
            "M8": "a named error in place of a refusal is a warning: nobody takes it for an answer",
            "U4": "xAI counts reasoning beside the answer's tokens",
            "K1": "headers and passwords of addresses that are shown are a warning; a constructor "
            "may refuse an address with a password",
            "K4": "a copy that is refused is a warning, one that differs in silence fails",
            "K2": "skipped where a function that makes the model has a key of its own",
            "E1": "exceptions of the client's own classes are a warning, bare ones fail",
            "R5": "that a configured model streams no more is a warning: core does that",
            "R6": "constructors' parameters, the model's name first, are tried over HTTP as well; "
            "fields that need not change an answer are a warning",
            "E5": "prompts and answers may be decorated, as for B10",
            "E6": "new",
        },
    ),
    Change("1", "the first", {}),
)
"""The newest first."""
CONTRACT = CHANGES[0].version


def version_of(rule: str) -> int:
    """Return the version of a rule: one more with each change of it."""
    told = [each.rules[rule] for each in CHANGES if rule in each.rules]
    return 1 + sum(each != "new" for each in told)
