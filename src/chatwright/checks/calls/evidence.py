"""What reports show of a call."""

from dataclasses import replace
from typing import Any

from chatwright.checks.calls.modes import Call
from chatwright.checks.finding import Exchange, Finding
from chatwright.checks.outcome import SHOWN_CHARACTERS, shown

__all__ = ["exchange", "masked", "shown_error"]

SHOWN_PARTS = 40
SHOWN_ERROR = 500


def exchange(call: Call) -> Exchange:
    """Return a call as a report shows it."""
    timeline = [
        (round(1000 * at, 1), _part(part)) for at, part in zip(call.times, call.parts, strict=False)
    ]
    request = seen(call.received[-1]) if call.received else None
    return Exchange(
        call.way,
        request,
        timeline[:SHOWN_PARTS],
        None if call.error is None else f"{type(call.error).__name__}: {shown_error(call.error)}",
    )


def _part(part: Any) -> str:
    if isinstance(part, dict):
        return shown(part)[:SHOWN_CHARACTERS]
    content = getattr(part, "content", part)
    more = {
        name: value
        for name in ("tool_call_chunks", "usage_metadata", "response_metadata", "chunk_position")
        if (value := getattr(part, name, None))
    }
    return f"{shown(content)!r} {shown(more) if more else ''}".strip()[:SHOWN_CHARACTERS]


def shown_error(error: BaseException) -> str:
    """Return what an error says; one that can't say it is told."""
    try:
        return " ".join(str(error).split())[:SHOWN_ERROR]
    except Exception as hostile:  # noqa: BLE001  it is the model's
        return f"<its str raised {type(hostile).__name__}>"


def seen(received: Any) -> dict[str, Any]:
    """Return a request as a report shows it."""
    body = received.body if isinstance(received.body, dict) else {"body": received.body}
    path = received.path.partition("/v1")[2] or received.path
    kept = {name: _kept(value) for name, value in body.items()}
    return {"path": path, **kept} if path else kept


def _kept(value: Any) -> Any:
    text = shown(value)
    return text if len(text) >= SHOWN_CHARACTERS else value


def masked(finding: Finding, hidden: set[str]) -> Finding:
    """Keep keys out of a report."""

    def mask(value: Any) -> Any:
        if isinstance(value, str):
            for each in hidden:
                value = value.replace(each, "***")
        elif isinstance(value, dict):
            return {name: mask(each) for name, each in value.items()}
        elif isinstance(value, list | tuple):
            return type(value)(mask(each) for each in value)
        return value

    exchanges = [
        replace(
            each, request=mask(each.request), timeline=mask(each.timeline), error=mask(each.error)
        )
        for each in finding.exchanges
    ]
    return replace(
        finding,
        sent=mask(finding.sent),
        got=mask(finding.got),
        cause=mask(finding.cause),
        expected=mask(finding.expected),
        exchanges=exchanges,
    )
