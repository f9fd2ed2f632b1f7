"""Recording providers of OpenTelemetry's, with the real SDK."""

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
