"""A call is a span, once an application sets the SDK up."""

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from chatwright import chat_model

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)


@chat_model
def shout(messages):
    return messages[-1].text.upper()


shout.invoke("hello")
(span,) = exporter.get_finished_spans()
assert span.name == "chat shout"
