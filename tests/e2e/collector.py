"""What OpenTelemetry's collector is to the mesh: a gRPC server that takes spans, and keeps them."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

WAIT_SECONDS = 20


@dataclass(frozen=True)
class Seen:
    """A span as it came; ids in hexadecimal figures."""

    service: str
    name: str
    kind: str
    id: str
    parent: str
    trace: str
    failed: bool
    attributes: dict[str, Any]


@dataclass
class Collector(TraceServiceServicer):
    _seen: list[Seen] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)
    endpoint: str = ""

    def Export(self, request: ExportTraceServiceRequest, context: Any) -> ExportTraceServiceResponse:
        with self._lock:
            for part in request.resource_spans:
                service = _attributes(part.resource.attributes)["service.name"]
                self._seen += [_seen(service, each) for scope in part.scope_spans for each in scope.spans]
        return ExportTraceServiceResponse()

    def trace(self, id: str, *wanted: str) -> list[Seen]:
        """The spans of a trace, once there is one from each `service name` that is wanted."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            with self._lock:
                found = [span for span in self._seen if span.trace == id]
            missing = set(wanted) - {f"{span.service} {span.name}" for span in found}
            if not missing:
                return found
            assert time.monotonic() < deadline, f"no {missing} in {sorted((s.service, s.name) for s in found)}"
            time.sleep(0.1)


@contextmanager
def collecting() -> Iterator[Collector]:
    collector, server = Collector(), grpc.server(ThreadPoolExecutor(1))
    add_TraceServiceServicer_to_server(collector, server)
    collector.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield collector
    server.stop(None).wait()


def _seen(service: str, span: Any) -> Seen:
    ids = (span.span_id.hex(), span.parent_span_id.hex(), span.trace_id.hex())
    kind = type(span).SpanKind.Name(span.kind).removeprefix("SPAN_KIND_")
    return Seen(service, span.name, kind, *ids, span.status.code == 2, _attributes(span.attributes))


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
