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


@pytest.fixture
def model(subject):
    return subject.make()
