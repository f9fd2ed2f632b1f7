import email.utils
import time

import anthropic
import httpx
import ollama
import openai
import pytest
from langchain_core.exceptions import ModelRateLimitError

from chatwright import (
    AuthenticationError,
    EngineError,
    ParameterError,
    PromptTooLongError,
    RateLimitError,
    SourceConnectionError,
    SourceTimeoutError,
    StructureError,
)
from chatwright.run.batch.failures import trouble_of

REQUEST = httpx.Request("POST", "http://127.0.0.1/v1")


def answered(status, **headers):
    return httpx.Response(status, headers=headers, request=REQUEST)


def told(kind, status, **headers):
    return kind("no", response=answered(status, **headers), body=None)


def caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (told(openai.RateLimitError, 429), "busy"),
        (told(openai.InternalServerError, 500), "away"),
        (told(openai.InternalServerError, 503), "busy"),
        (told(openai.AuthenticationError, 401), "refused"),
        (told(openai.PermissionDeniedError, 403), "refused"),
        (told(openai.NotFoundError, 404), "refused"),
        (told(openai.BadRequestError, 400), "row"),
        (told(openai.UnprocessableEntityError, 422), "row"),
        (openai.APIConnectionError(request=REQUEST), "away"),
        (openai.APITimeoutError(request=REQUEST), "away"),
        (told(anthropic.RateLimitError, 429), "busy"),
        (told(anthropic.InternalServerError, 529), "busy"),
        (ollama.ResponseError("no", 500), "away"),
        (httpx.ConnectError("no"), "away"),
        (httpx.ReadTimeout("no"), "away"),
        (ConnectionResetError("no"), "away"),
        (TimeoutError("no"), "away"),
        (RateLimitError("no"), "busy"),
        (ModelRateLimitError("no"), "busy"),
        (AuthenticationError("no"), "refused"),
        (PromptTooLongError("no"), "row"),
        (ParameterError("no"), "row"),
        (StructureError("no"), "row"),
        (EngineError("no"), "away"),
        (SourceConnectionError("no"), "away"),
        (SourceTimeoutError("no"), "away"),
        (ValueError("no"), "row"),
        (caused(RuntimeError("no"), told(openai.RateLimitError, 429)), "busy"),
    ],
)
def test_an_error_says_whose_matter_it_is(error, kind):
    trouble = trouble_of(error)
    assert trouble.kind == kind
    assert trouble.may_pass == (kind in {"busy", "away"})
    assert trouble.type == type(error).__name__


def test_when_to_come_again_is_read_wherever_it_stands():
    assert trouble_of(told(openai.RateLimitError, 429, **{"retry-after": "7"})).after == 7
    later = email.utils.formatdate(time.time() + 100, usegmt=True)
    after = trouble_of(told(openai.RateLimitError, 429, **{"retry-after": later})).after
    assert 90 < after <= 100
    past = told(openai.RateLimitError, 429, **{"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"})
    assert trouble_of(past).after == 0
    assert trouble_of(told(openai.RateLimitError, 429, **{"retry-after": "soon"})).after is None
    ours = RateLimitError("no")
    ours.retry_after = 3.5
    assert trouble_of(ours).after == 3.5


def test_what_is_written_has_the_class_the_words_and_the_status():
    assert trouble_of(told(openai.BadRequestError, 400)).fields() == {
        "type": "BadRequestError",
        "message": "no",
        "status": 400,
    }
    assert trouble_of(KeyError()).fields() == {"type": "KeyError", "message": "KeyError()"}
