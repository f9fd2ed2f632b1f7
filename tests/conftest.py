"""What all tests need: llama.cpp's have a process of their own, and no outside matters."""

import functools
import gc
import inspect
import re
import signal

import pytest
from hypothesis import HealthCheck, settings

# Neither how busy the machine is ...
settings.register_profile("any load", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any load")
# ... nor which signals our parent ignores, as a shell does for a job in the background, matters.
signal.pthread_sigmask(signal.SIG_SETMASK, ())
for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
    signal.signal(number, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

ENGINE = re.compile(r"gguf|smollm2|loaded\(\)", re.IGNORECASE)
source = functools.cache(inspect.getsource)


def pytest_collection_modifyitems(items):
    for item in items:
        if "installed" in item.fixturenames:
            continue  # a wheel in an environment of its own, which has no llama.cpp
        if ENGINE.search(item.nodeid) or ENGINE.search(source(item.function)):
            item.add_marker("engine")


def pytest_collection_finish():
    """Have the garbage collector leave alone what is there for good: ten thousand tests."""
    gc.freeze()


@pytest.fixture
def recorded(monkeypatch):
    """Record the spans and metrics of OpenTelemetry's SDK, as if the application had set it up."""
    from opentelemetry import metrics, trace

    from telemetry import Recorded

    made = Recorded()
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: made.tracers)
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: made.meters)
    monkeypatch.delenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", raising=False)
    yield made
    made.tracers.shutdown()
    made.meters.shutdown()
