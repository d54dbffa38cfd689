"""OpenTelemetry: set up where the environment names a collector, and flushed before the process ends.

``observe`` sets it up when the app has started, ``jobs.worker`` when it begins; ``deadlines`` and the worker flush it.
Requests are traced by FastAPI itself, as soon as there is a provider; SQL, outgoing HTTP and jobs by ``tracing`` and
``outgoing``. Where the app, or FastAPI's own FASTAPI_OTEL_AUTO_CONFIGURE, has set a provider up, it stays the only one:
no span is made or sent twice. Without a collector nothing is imported, and nothing costs.

The standard variables hold, since the SDK reads them itself: OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER and its argument,
OTEL_EXPORTER_OTLP_*, OTEL_BSP_*, OTEL_RESOURCE_ATTRIBUTES, OTEL_PROPAGATORS.
"""

from __future__ import annotations

import asyncio
import os
import random
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlencode

import structlog
from opentelemetry import context, trace

from plimsoll_runtime.correlation import CURRENT
from plimsoll_runtime.health import METRICS, PROBES

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from contextvars import Token
    from typing import Any

    from fastapi.telemetry import TelemetryConfig
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import Sampler

    from plimsoll_runtime.correlation import Ids


def not_to_trace(scope: MutableMapping[str, Any]) -> bool:
    """Whether this is not to be traced: it is dropped already, or a probe or a scrape of an adopted app.

    There FastAPI sees them before we answer them.
    """
    return DROPPED in scope or scope.get("path") in PROBES or scope.get("path") == METRICS


FASTAPI: Final[TelemetryConfig] = {
    "auto_configure": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "exclude": not_to_trace,
}
"""For ``FastAPI(telemetry=FASTAPI)``: a span for each request, and nothing that is told elsewhere already.

Spans of each dependency and endpoint would cost more than all the rest of the runtime together.
"""

PROTOCOL: Final = "http/protobuf"

BY_ID: Final = frozenset({"traceidratio", "parentbased_traceidratio", "always_off", "parentbased_always_off"})
"""Samplers that need to know no more of a trace that begins than its id."""

DROPPED: Final = "plimsoll.dropped"
"""In the scope of a request whose trace is dropped."""

_NO_PARENT: Final = context.Context()

log = structlog.stdlib.get_logger(__name__)

_ours: list[TracerProvider] = []
_decides_by_id: list[Sampler] = []


def configure() -> None:
    """Send traces to the collector that the environment names; without one, or with a provider in place, do nothing."""
    env = os.environ.get
    endpoint = env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or env("OTEL_EXPORTER_OTLP_ENDPOINT")
    exporter = env("OTEL_TRACES_EXPORTER") or "otlp"
    if not endpoint or exporter == "none" or env("OTEL_SDK_DISABLED", "").lower() == "true":
        return
    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return
    protocol = env("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or env("OTEL_EXPORTER_OTLP_PROTOCOL") or PROTOCOL
    if exporter != "otlp" or protocol != PROTOCOL:
        log.warning("no traces: set OTEL_TRACES_EXPORTER=otlp and OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf")
        return
    provider = _provider()
    trace.set_tracer_provider(provider)
    _ours.append(provider)
    if env("OTEL_TRACES_SAMPLER") in BY_ID:
        _decides_by_id.append(provider.sampler)


def drop_early(scope: MutableMapping[str, Any], ids: Ids) -> Token[context.Context] | None:
    """Decide about a trace that begins with this request; the result, if any, is for ``context.detach``.

    At a sampling ratio of 1 % the other 99 % would cost FastAPI a tenth of what a small handler costs in all. The
    sampler decides by the id alone, so it can be asked first. Who is called by a dropped request learns of that.
    """
    if not (ids.begins and _decides_by_id):
        return None
    trace_id = int(ids.trace_id, 16)
    verdict = _decides_by_id[0].should_sample(_NO_PARENT, trace_id, "", trace.SpanKind.SERVER)
    if verdict.decision.is_sampled():  # type: ignore[no-untyped-call] # the SDK forgot it
        return None
    scope[DROPPED] = True
    span = trace.NonRecordingSpan(trace.SpanContext(trace_id, random.getrandbits(64) or 1, is_remote=False))
    return context.attach(trace.set_span_in_context(span))


async def flush(*, seconds: float) -> None:
    """Send what has not been sent yet. A collector that does not answer is waited for that long and no longer."""
    loop = asyncio.get_running_loop()
    for provider in _ours:
        done = asyncio.Event()

        def send(provider: TracerProvider = provider, done: asyncio.Event = done) -> None:
            provider.force_flush()
            with suppress(RuntimeError):  # nobody waited so long, and the loop is closed
                loop.call_soon_threadsafe(done.set)

        threading.Thread(target=send, daemon=True).start()  # not the loop's own: those hold up the end of the process
        try:
            async with asyncio.timeout(seconds):
                await done.wait()
        except TimeoutError:
            await log.awarning("the collector took no traces in time", seconds=round(seconds, 1))


def _provider() -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - as the docstring says
    from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider  # noqa: PLC0415 - likewise
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - likewise
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator  # noqa: PLC0415 - likewise

    class RequestIds(RandomIdGenerator):
        """A trace that begins with a request has the id that the request's log line has."""

        def generate_trace_id(self) -> int:
            ids = CURRENT.get()
            return int(ids.trace_id, 16) if ids else super().generate_trace_id()

    class Discreet(SpanProcessor):
        """Of a request's query the names stay, the values go."""

        def on_start(self, span: Span, parent_context: object = None) -> None:  # noqa: ARG002 - the SDK's signature
            if query := (span.attributes or {}).get("url.query"):
                names = [(name, "REDACTED") for name, _ in parse_qsl(str(query), keep_blank_values=True)]
                span.set_attribute("url.query", urlencode(names))

    provider = TracerProvider(id_generator=RequestIds(), shutdown_on_exit=False)
    provider.add_span_processor(Discreet())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
