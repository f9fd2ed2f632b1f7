"""A module of decorated functions, as a user would write it; imported by name in tests."""

from chatwright import chat_model


@chat_model
def shout(messages, *, temperature: float = 0.0, mark="!"):
    """Repeats the last message in capitals."""
    for word in messages[-1].text.split():
        yield word.upper() + mark


@chat_model(model_name="whisperer", temperature=0.5)
async def whisper(messages):
    return messages[-1].text.lower()


def plain(messages):
    return "plain"


class Holder:
    def __init__(self, word):
        self.word = word

    def reply(self, messages):
        return self.word

    @property
    def model(self):
        return chat_model(self.reply)


number = 3
