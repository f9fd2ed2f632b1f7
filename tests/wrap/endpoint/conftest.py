import pytest


class Carrier:
    """Which library carries the requests of the models that are made next."""

    fast: bool | None = None


@pytest.fixture(params=["aiohttp", "httpx2"])
def carrier(request, monkeypatch):
    monkeypatch.setattr(Carrier, "fast", request.param == "aiohttp")
    return request.param
