"""Models for the command line's tests, loaded by `module:attribute`."""

import time

from chatwright import Usage, chat_model


@chat_model(price=(1, 1, "EUR"))
def echo(messages, *, temperature: float = 0.0):
    """Says what it was told."""
    yield f"**{messages[-1].text}** "
    yield f"({temperature}, {messages[0].text if messages[0].type == 'system' else None})"
    yield Usage(3, 2)


@chat_model
def accents(messages):
    yield "Zürich — 東京 😀 "
    yield messages[-1].text


@chat_model
def slow(messages):
    for number in range(1000):
        yield f"{number} "
        time.sleep(0.02)


@chat_model
def broken(messages):
    yield "a"
    raise ConnectionError("the cable is out")


@chat_model
def buggy(messages):
    yield "a"
    raise ZeroDivisionError("a bug")
