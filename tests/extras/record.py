"""What was asked and answered is kept, and replayed without asking."""

from chatwright import chat_model, recorded

asked = []


@chat_model
def in_house(messages):
    asked.append(messages)
    return "The Aare."


assert recorded(in_house, "rivers.jsonl").invoke("Which river?").text == "The Aare."
assert recorded(in_house, "rivers.jsonl").invoke("Which river?").text == "The Aare."
assert len(asked) == 1
