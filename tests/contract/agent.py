"""The little LLM as an agent: the Agent Client Protocol on stdin and stdout, by hand."""

import json
import sys

import prompted_answers


def send(**message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def answer(prompt):
    *before, asked = [each["text"] for each in prompt]
    system = before[0].partition("The conversation so far:")[0] if before else ""
    written = prompted_answers.answered(system, asked)
    for piece in written or (asked if "say:" in asked else sys.argv[1:]):
        said = {"type": "text", "text": piece}
        update = {"sessionUpdate": "agent_message_chunk", "content": said}
        send(method="session/update", params={"sessionId": "s", "update": update})
    return {"stopReason": "end_turn"}


def main():
    for line in sys.stdin:
        asked = json.loads(line)
        match asked["method"]:
            case "initialize":
                send(id=asked["id"], result={"protocolVersion": 1})
            case "session/new":
                send(id=asked["id"], result={"sessionId": "s"})
            case "session/prompt":
                send(id=asked["id"], result=answer(asked["params"]["prompt"]))


main()
