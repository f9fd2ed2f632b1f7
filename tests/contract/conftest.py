import pytest

from contract.subjects import MODES, SUBJECTS


@pytest.fixture(params=SUBJECTS, ids=str)
def subject(request):
    return request.param


@pytest.fixture(params=[s for s in SUBJECTS if s.streams], ids=str)
def streaming(request):
    return request.param


@pytest.fixture(params=list(MODES))
def mode(request):
    return MODES[request.param]


@pytest.fixture(params=["v0", "v1"])
def version(request):
    return request.param


def pytest_collection_modifyitems(items):
    """Ask in every mode and by both versions, and by all pairs of these in the long suite alone.

    llama.cpp, which is slow, is never asked by all.
    """
    items[:] = [each for each in items if "gguf" not in each.nodeid or is_wanted(each)]
    for each in items:
        if not is_wanted(each):
            each.add_marker("long")
            each.add_marker("pairs")


def is_wanted(item):
    params = item.callspec.params if hasattr(item, "callspec") else {}
    if not {"mode", "version"} <= params.keys():
        return True
    return list(MODES).index(params["mode"]) % 2 == (params["version"] == "v1")


@pytest.fixture
def model(subject):
    return subject.make()
