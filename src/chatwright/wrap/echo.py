"""The model of LangChain's guide "How to create a custom chat model", as the worked example."""

from collections.abc import Iterator

from chatwright import ChatModel, Delta, Finish, Request

__all__ = ["CustomChatModelAdvanced"]


class CustomChatModelAdvanced(ChatModel):
    """A custom chat model that echoes the first `n` characters of the input.

    Its tokens are characters, as in the guide.

    Example:
        ```python
        model = CustomChatModelAdvanced(n=3, model_name="my_custom_model")
        model.invoke("hello").text  # 'hel'
        ```
    """

    model_name: str
    """The name of the model."""
    n: int
    """The number of characters from the last message of the prompt to be echoed."""

    def reply(self, request: Request) -> Iterator[Delta]:
        """Echo, one character at a time."""
        yield from request.messages[-1].text[: self.n]
        yield Finish(metadata={"time_in_seconds": 3, "time_in_sec": 3})

    def get_token_ids(self, text: str) -> list[int]:
        """Return the characters' code points: here, a token is a character."""
        return [ord(character) for character in text]

    @property
    def _llm_type(self) -> str:
        return "echoing-chat-model-advanced"
