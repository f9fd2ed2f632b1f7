"""What servers and TLS say, and what fixes it: phrases as data, each with whoever says it."""

import re
from typing import NamedTuple

__all__ = ["fix_for", "lengths_in"]


class Phrase(NamedTuple):
    """Words by which a prompt that is too long is told.

    Args:
        servers: Who says it.
        words: A regular expression; its groups `prompt` and `context` are lengths in tokens.
    """

    servers: str
    words: str


_TOO_LONG = (
    Phrase("llama.cpp", r"exceeds? (the )?(available )?context|exceed_context"),
    Phrase("llama.cpp", r"\((?P<prompt>N) tokens\) exceeds the .{0,40}\((?P<context>N) tokens\)"),
    Phrase("OpenAI, and whoever copies its code", r"context[_ ](length|size|window)[_ ]?exceeded"),
    Phrase("OpenAI, vLLM, SGLang, OpenRouter", r"maximum context"),
    Phrase("OpenAI's Responses, MiniMax", r"exceeds? .{0,20}context window|context window exceeds"),
    Phrase("vLLM", r"longer than the (maximum model|model's context) length"),
    Phrase(
        "SGLang", r"\((?P<prompt>N) tokens\) is longer than .{0,40}length \((?P<context>N) tokens"
    ),
    Phrase("Anthropic", r"prompt is too long(: (?P<prompt>N) tokens > (?P<context>N) maximum)?"),
    Phrase("Anthropic", r"exceed context limit"),
    Phrase(
        "Gemini",
        r"input token count( \((?P<prompt>N)\))? exceeds the maximum"
        r"( number of tokens allowed( \((?P<context>N)\))?)?",
    ),
    Phrase("Groq", r"reduce the length of (the|your) (messages|prompt)"),
    Phrase(
        "TGI, Together",
        r"`inputs` tokens \+ `max_new_tokens` must be <= (?P<context>N)"
        r"(\.? Given: (?P<prompt>N) `inputs` tokens)?",
    ),
    Phrase("TGI", r"`inputs` must have less than (?P<context>N) tokens(\. Given: (?P<prompt>N))?"),
    Phrase(
        "Mistral",
        r"prompt contains (?P<prompt>N) tokens.{0,80}too large for model with (?P<context>N)",
    ),
    Phrase(
        "xAI", r"maximum prompt length is (?P<context>N)( .{0,40}contains (?P<prompt>N) tokens)?"
    ),
    Phrase("Copilot", r"prompt token count of (?P<prompt>N) exceeds the limit of (?P<context>N)"),
    Phrase("Bedrock", r"input is too long for requested model"),
    Phrase("Cohere", r"too many tokens"),
    Phrase("LM Studio", r"greater than the context length"),
    Phrase("Ollama", r"input length exceeds the context length"),
    Phrase("Kimi", r"exceeded model token limit: (?P<context>N)"),
    Phrase("several", r"context[_ ](length|size|window)"),
)
"""The more a phrase tells, the better: of those that fit, the one with both lengths counts."""
_NUMBER = r"\\d[\\d,]*"
_LONG = tuple(
    re.compile(re.sub(r"(?<=>)N(?=\))", _NUMBER, each.words), re.IGNORECASE | re.DOTALL)
    for each in _TOO_LONG
)
_TOKENS = re.compile(r"(\d[\d,]*) (?:tokens|maximum)")


def lengths_in(said: str) -> tuple[int | None, int | None] | None:
    """Return the lengths of a prompt that is too long and of the context, in tokens.

    Args:
        said: What a server says, its codes included.

    Returns:
        None where it does not say that the prompt is too long; a length of None where it does not
        tell that one.
    """
    found = [match for each in _LONG if (match := each.search(said))]
    if not found:
        return None
    told = [_numbers(each) for each in found]
    if both := next((each for each in told if None not in each), None):
        return both
    named = sorted({_number(each) for each in _TOKENS.findall(said)})
    if len(named) == 2:  # noqa: PLR2004  the longer is the prompt, for it does not fit
        return named[1], named[0]
    return next((each for each in told if each != (None, None)), (None, None))


def _numbers(match: re.Match[str]) -> tuple[int | None, int | None]:
    groups = match.groupdict()
    prompt, context = (
        None if (digits := groups.get(name)) is None else _number(digits)
        for name in ("prompt", "context")
    )
    return prompt, context


def _number(digits: str) -> int:
    return int(digits.replace(",", ""))


class Hint(NamedTuple):
    """What fixes a failure that is told in certain words.

    Args:
        servers: Who says it.
        words: A regular expression for what is said.
        fix: What to do; `{0}`, `{model}`, … are its groups.
    """

    servers: str
    words: str
    fix: str


_PROBE = "; `chatwright probe` finds out what it takes"
_REFUSED = (
    r"(unrecogni[sz]ed|unknown|unsupported|unexpected|extra|invalid"
    r"|not (permitted|allowed|supported))"
)


def _refuses(parameter: str) -> str:
    """Return what tells that a parameter is refused: its name and such a word, side by side."""
    return rf"{_REFUSED}[^.]{{0,60}}\b{parameter}\b|\b{parameter}\b[^.]{{0,120}}{_REFUSED}"


_HINTS = (
    Hint(
        "OpenAI's newer models",
        r"use '?max_completion_tokens|max_completion_tokens'? instead",
        "set the quirk max_tokens='max_completion_tokens'" + _PROBE,
    ),
    Hint(
        "older OpenAI-compatible servers",
        _refuses("stream_options"),
        "set the quirk stream_usage=False" + _PROBE,
    ),
    Hint(
        "vLLM",
        r"requires --enable-auto-tool-choice",
        "start the server with --enable-auto-tool-choice and --tool-call-parser, or set the quirk "
        "tools=False, by which tools are taught in the prompt" + _PROBE,
    ),
    Hint(
        "Ollama, OpenRouter, LM Studio",
        r"(does not|doesn't|do not) support (tools?\b|tool[ _](use|calls?|calling)|function)"
        r"|no endpoints found that support tool use",
        "set the quirk tools=False, by which tools are taught in the prompt" + _PROBE,
    ),
    Hint(
        "chat templates of Mistral, Gemma and Llama 2",
        r"roles must alternate",
        "set the quirks merge=True and system='first', or 'user' for templates without a system "
        "role" + _PROBE,
    ),
    Hint(
        "chat templates of Gemma and Mistral",
        r"system role (is )?not supported|only user(, assistant and tool| and assistant) roles are",
        "set the quirk system='user'" + _PROBE,
    ),
    Hint(
        "servers from before the role",
        r"'?developer'? is not one of|(unknown|unexpected|invalid|unsupported)[^.]{0,20} role"
        r"[^.]{0,12}\bdeveloper\b",
        "set the quirk developer='system'" + _PROBE,
    ),
    Hint(
        "OpenAI's reasoning models",
        r"unsupported parameter: '?stop\b",
        "set the quirk max_stops=0, by which stop sequences are looked for here" + _PROBE,
    ),
    Hint(
        "DeepSeek and others",
        r"response_format[^.]{0,60}(unavailable|not supported|unsupported)",
        "set the quirk response_format='json_object', or 'none'" + _PROBE,
    ),
    Hint(
        "llama.cpp, uzu",
        r"(?=.*\bstream(ing|ed)?\b)(?=.*\b(tools?|function)\b)"
        r"(?=.*\b(cannot|can't|not|unsupported|only)\b)",
        "set the quirk stream_tools=False, by which calls come in one piece" + _PROBE,
    ),
    Hint(
        "Groq, llama.cpp, Gemini",
        r"(?=.*(\bjson\b|response[_ ](format|schema|mime)|\bgrammar\b|structured output))"
        r"(?=.*\b(tools?|function)\b)(?=.*\b(cannot|can't|not|unsupported)\b)",
        "set the quirk tools_with_format=False, by which the schema is asked for in another way"
        + _PROBE,
    ),
    Hint(
        "vLLM, OpenAI, OpenRouter, llama.cpp, DeepSeek",
        r"not a multimodal model|at most 0 (image|audio|video)|\bimage_url\b|TextContentPart"
        r"|(image|audio|video|vision)( input)?s? (is|are) (not|only) support"
        r"|support (image|audio|video|vision)|input should be 'text'",
        "the model seems to read no such content; the quirk inputs=[] refuses it here" + _PROBE,
    ),
    Hint(
        "Ollama",
        r"^model ([`'\"])(?P<model>[^`'\"]+)\1 not found",
        "the server has no such model; on Ollama, `ollama pull {model}` gets it",
    ),
    Hint(
        "OpenAI, vLLM, Anthropic and others",
        r"\bmodel\b.{0,80}(does not exist|not found|is not available)|^model: \S+$"
        r"|\bmodel_not_found\b|no such model",
        "the server has no such model, or not for this key; `model` names one, and most servers "
        "list theirs at /models",
    ),
    Hint(
        "OpenSSL",
        r"hostname mismatch|ip address mismatch|is not valid for",
        "the certificate is another host's; base_url has to name the host as it does",
    ),
    Hint(
        "OpenSSL",
        r"certificate has expired|certificate is not yet valid",
        "the server's certificate has to be renewed, or the clock here set right",
    ),
    Hint(
        "OpenSSL",
        r"certificate[_ ]verify[_ ]failed|unable to get (local )?issuer|self.signed",
        "where an authority of your own has signed it, give its certificate as ca_file",
    ),
    Hint(
        "OpenSSL",
        r"wrong[_ ]version[_ ]number|record layer failure|http_request",
        "the server seems not to speak TLS here; base_url may have to begin with http://",
    ),
    Hint(
        "OpenSSL",
        r"certificate[_ ]required",
        "the server wants a certificate of the client's; give it as client_cert",
    ),
)
_FIXES = tuple((re.compile(each.words, re.IGNORECASE | re.DOTALL), each.fix) for each in _HINTS)


def fix_for(said: str) -> str:
    """Return what fixes what is told in these words, in brackets; nothing where nothing is known.

    Args:
        said: What a server says, or what OpenSSL does.
    """
    for words, fix in _FIXES:
        if match := words.search(said):
            return f" ({fix.format(**match.groupdict())})"
    return ""
