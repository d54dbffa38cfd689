"""An OpenTelemetry collector: OTLP over HTTP, protobuf. It keeps what it is sent, or keeps its clients waiting."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Wire
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from support.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, kw_only=True)
class Span:
    """One span as it arrived."""

    name: str
    kind: str
    trace: str
    id: str
    parent: str
    attributes: Mapping[str, str]
    failed: bool
    service: str


class Collector:
    """Listens from construction to ``close``."""

    def __init__(self) -> None:
        self._spans: list[Span] = []
        self.echoed: list[Mapping[str, str]] = []
        """Headers of the plain GETs that were answered: the service behind the service."""
        self.silent = False
        """Whether clients are kept waiting."""
        self._closing = threading.Event()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if collector.silent:
                    collector._closing.wait()
                    return
                assert self.path == "/v1/traces", self.path
                assert self.headers["content-type"] == "application/x-protobuf"
                collector._spans += _parsed(body)
                self._answer(200)

            def do_GET(self) -> None:
                collector.echoed.append({name.lower(): value for name, value in self.headers.items()})
                self._answer(404 if self.path.startswith("/missing") else 200)

            def _answer(self, status: int) -> None:
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Its base."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def env(self) -> dict[str, str]:
        """What a process needs to know of it; spans are sent at once."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.url, "OTEL_BSP_SCHEDULE_DELAY": "50", "OTEL_SERVICE_NAME": "ship"}

    @property
    def spans(self) -> list[Span]:
        """All that have arrived."""
        return list(self._spans)

    def got(self, wanted: Callable[[Span], bool], *, within: float = 30) -> Span:
        """The first such span, once it is there."""
        return eventually(lambda: next((span for span in self.spans if wanted(span)), None), within=within)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()


def _parsed(body: bytes) -> list[Span]:
    spans = []
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        [service] = [each.value.string_value for each in resource.resource.attributes if each.key == "service.name"]
        for scope in resource.scope_spans:
            spans += [_span(wire, service) for wire in scope.spans]
    return spans


def _span(wire: Wire, service: str) -> Span:
    return Span(
        name=wire.name,
        kind=Wire.SpanKind.Name(wire.kind).removeprefix("SPAN_KIND_"),
        trace=wire.trace_id.hex(),
        id=wire.span_id.hex(),
        parent=wire.parent_span_id.hex(),
        attributes={
            each.key: each.value.string_value or str(each.value.int_value or each.value.bool_value)
            for each in wire.attributes
        },
        failed=wire.status.code == Status.STATUS_CODE_ERROR,
        service=service,
    )
