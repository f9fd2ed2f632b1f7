"""What an answer costs is looked up by the model's name."""

from chatwright import Usage, chat_model


def priced(messages):
    yield "hello"
    yield Usage(input_tokens=1000, output_tokens=1000)


model = chat_model(priced, model_name="gpt-4o")
cost = model.invoke("hello").response_metadata["cost"]
assert cost["currency"] == "USD"
assert 0 < cost["total"] < 1
