import pytest

from chatwright.testing import Upstream


class Carrier:
    """Which library carries the requests of the models that are made next."""

    fast: bool | None = None


@pytest.fixture(params=["aiohttp", "httpx2"])
def carrier(request, monkeypatch):
    monkeypatch.setattr(Carrier, "fast", request.param == "aiohttp")
    return request.param


@pytest.fixture
def server():
    with Upstream() as upstream:
        yield upstream
