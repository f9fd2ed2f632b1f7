"""The little LLM as a program: a transcript on stdin, an answer in lines of JSON on stdout."""

import json
import sys
from typing import NamedTuple

import prompted_answers


class Said(NamedTuple):
    type: str
    text: str


def main():
    said = sys.stdin.buffer.read().decode().split("\x1e")[1:]
    messages = [Said(*each.split("\x1f", 1)) for each in said]
    asked = messages[-1].text
    system = messages[0].text if messages[0].type == "system" else ""
    written = prompted_answers.answered(system, asked)
    pieces = written or (asked if "say:" in asked else sys.argv[1:])
    for piece in pieces:
        sys.stdout.write(json.dumps({"text": piece}) + "\n")
        sys.stdout.flush()


main()
