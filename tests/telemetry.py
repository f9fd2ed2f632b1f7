"""Recording providers of OpenTelemetry's, with the real SDK."""

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


class Recorded:
    def __init__(self):
        self.exporter, self.reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.tracers, self.meters = TracerProvider(), MeterProvider([self.reader])
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))

    @property
    def spans(self):
        """Those that have ended."""
        return self.exporter.get_finished_spans()

    @property
    def span(self):
        (span,) = self.spans
        return span

    @property
    def metrics(self):
        """The data points of each metric by its name."""
        told = self.reader.get_metrics_data()
        return {
            each.name: [*each.data.data_points]
            for resource in (told.resource_metrics if told else ())
            for scope in resource.scope_metrics
            for each in scope.metrics
        }

    def tokens(self):
        """How many tokens were counted: in, out."""
        points = self.metrics.get("gen_ai.client.token.usage", ())
        sums = {"input": 0, "output": 0}
        for each in points:
            sums[each.attributes["gen_ai.token.type"]] += each.sum
        return sums["input"], sums["output"]


@pytest.fixture
def recorded(monkeypatch):
    made = Recorded()
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: made.tracers)
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: made.meters)
    monkeypatch.delenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", raising=False)
    yield made
    made.tracers.shutdown()
    made.meters.shutdown()
