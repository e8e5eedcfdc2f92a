"""Spans for an OpenTelemetry collector. What there is to set beside its address, OpenTelemetry's SDK reads itself, such
as `OTEL_TRACES_SAMPLER` and `OTEL_EXPORTER_OTLP_HEADERS`
(https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/).
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
from opentelemetry import trace as otel
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from kit import trace

# A process that ends tries to get rid of four batches at most: it is not to be held up by a collector that is away.
TIMEOUT_SECONDS = 1


def export(service: str, endpoint: str) -> None:
    """In batches, from a thread of its own; what the collector does not take is dropped in the end."""
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: service}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint, timeout=TIMEOUT_SECONDS)))
    trace.start = partial(_start, provider.get_tracer("astronote"))
    trace.interceptors.append(Calls())


@dataclass(kw_only=True)
class Recorded(trace.Span):
    span: otel.Span

    def end(self, name: str, *, failed: bool = False, **attributes: str | int) -> float:
        self.span.update_name(name)
        self.span.set_attributes({key: value for key, value in attributes.items() if value != ""})
        if failed:
            self.span.set_status(otel.StatusCode.ERROR)
        self.span.end()
        return super().end(name)


def _start(tracer: otel.Tracer, kind: trace.Kind, given: str) -> trace.Span:
    found, context = trace.FORM.fullmatch(given), None
    if found:
        parent = otel.SpanContext(int(found[1], 16), int(found[2], 16), True, otel.TraceFlags(int(found[3], 16)))
        context = otel.set_span_in_context(otel.NonRecordingSpan(parent))
    span = tracer.start_span("", context, otel.SpanKind[kind])
    made = span.get_span_context()
    return Recorded(f"00-{made.trace_id:032x}-{made.span_id:016x}-{made.trace_flags:02x}", span=span)


class Calls(grpc.aio.UnaryUnaryClientInterceptor):
    """A span for each call to another service that belongs to a trace. A stream has only that of who answers it."""

    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        if not trace.current():
            return await continuation(details, request)
        # This is a task of its own, so the caller's span stays the one in hand for him.
        span, code = trace.begin("CLIENT", trace.current()), grpc.StatusCode.CANCELLED
        details.metadata[trace.HEADER] = span.traceparent
        call = await continuation(details, request)
        try:
            code = await call.code()
        finally:
            call.cancel()
            span.end(details.method.decode(), failed=code.name in trace.FAILED, code=code.name)
        return call
