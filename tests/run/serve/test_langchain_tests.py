"""langchain-tests' own integration suite of langchain-openai's ChatOpenAI, which asks a server.

Its unit tests ask none; images, audio and PDFs are fetched from the internet, and VCR has nothing
to record.
"""

import socket

import httpx2
import pytest
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests

from chatwright import create_app
from chatwright.run.serve.server import in_background
from contract.subjects import native

# langchain-openai's own: of what it parsed, and of a schema that it asks for in another way.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Pydantic serializer warnings"),
    pytest.mark.filterwarnings("ignore:Received a Pydantic BaseModel V1 schema"),
]


@pytest.fixture(scope="module", autouse=True)
def served():
    """Serve a scripted model for all tests of a suite, and tell them where."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    with in_background(create_app({"m": native, "another-model": native}), listener):
        Served.base_url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        yield


class Served(ChatModelIntegrationTests):
    base_url = ""
    more: dict = {}

    @property
    def chat_model_class(self):
        return ChatOpenAI

    @property
    def chat_model_params(self):
        # Its connections would outlive each test's loop.
        client = httpx2.AsyncClient(limits=httpx2.Limits(max_keepalive_connections=0))
        given = {"model": "m", "base_url": self.base_url, "api_key": "none", **self.more}
        return {**given, "http_async_client": client}

    @property
    def model_override_value(self):
        return "another-model"

    @property
    def supports_json_mode(self):
        return True

    @property
    def supports_anthropic_inputs(self):
        return True


class TestByChatCompletions(Served):
    more = {"stream_usage": True}


class TestByResponses(Served):
    more = {"use_responses_api": True}
