"""A file is answered on a cluster of this machine's."""

from chatwright import chat_model, run_batch


@chat_model
def shout(messages):
    return messages[-1].text.upper()


if __name__ == "__main__":
    summary = run_batch(shout, ["one", "two"], "out.jsonl", engine="ray")
    assert (summary.answers, summary.failed) == (2, 0)
