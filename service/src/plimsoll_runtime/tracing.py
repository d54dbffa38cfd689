"""The spans that are ours to make: SQL statements, and jobs from their POST to their last step.

``engine`` and ``jobs.worker`` give ``TracedCursor`` to psycopg, so one hook sees SQLAlchemy's statements and the
ledger's alike. A job carries the W3C traceparent of who enqueued it in its row (``jobs.ledger``), so that each attempt
at each of its steps is a span of the same trace, in whichever process. Requests are FastAPI's, outgoing HTTP is in
``outgoing``.

A statement is recorded with its text if it has parameters, and never with their values. An error is recorded as its
kind, without its message.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context, trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from psycopg import AsyncCursor
from psycopg.rows import Row
from typing_extensions import override

from plimsoll_runtime.failures import kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Self
    from uuid import UUID

    from opentelemetry.trace import Span
    from opentelemetry.util.types import Attributes

_tracer: Final = trace.get_tracer("plimsoll_runtime")
_w3c: Final = TraceContextTextMapPropagator()

PING: Final = ";"
"""What SQLAlchemy asks a pooled connection before it hands it out. It would double the spans and tell nothing."""


@contextmanager
def span(
    name: str, *, kind_of: trace.SpanKind, attributes: Attributes, parent: context.Context | None = None
) -> Iterator[Span]:
    """A span around a block; an exception that leaves it is recorded as its kind."""
    with _tracer.start_as_current_span(
        name, kind=kind_of, attributes=attributes, context=parent, record_exception=False, set_status_on_exception=False
    ) as current:
        try:
            yield current
        except BaseException as error:
            failed(current, sqlstate if isinstance(sqlstate := getattr(error, "sqlstate", None), str) else kind(error))
            raise


def failed(current: Span, error_type: str) -> None:
    """Mark a span as one that did not end well."""
    current.set_attribute("error.type", error_type)
    current.set_status(trace.StatusCode.ERROR)


class TracedCursor(AsyncCursor[Row]):
    """psycopg's cursor, with a span for each statement under a trace that is being recorded."""

    @override
    async def execute(self, query: Any, params: Any = None, **options: Any) -> Self:
        if query == PING or not trace.get_current_span().is_recording():
            return await super().execute(query, params, **options)
        with self._statement(query, parametrised=bool(params)):
            return await super().execute(query, params, **options)

    @override
    async def executemany(self, query: Any, params_seq: Iterable[Any], **options: Any) -> None:
        if not trace.get_current_span().is_recording():
            return await super().executemany(query, params_seq, **options)
        with self._statement(query, parametrised=True):
            return await super().executemany(query, params_seq, **options)

    @contextmanager
    def _statement(self, query: object, *, parametrised: bool) -> Iterator[None]:
        text = query.decode(errors="replace") if isinstance(query, bytes) else query if isinstance(query, str) else ""
        operation = text.split(None, 1)[0].upper() if text.strip() else "SQL"
        info = self.connection.info
        attributes: dict[str, str | int] = {
            "db.system.name": "postgresql",
            "db.namespace": info.dbname,
            "db.operation.name": operation,
            "server.address": info.host,
            "server.port": info.port,
        }
        if text and parametrised:
            attributes["db.query.text"] = text
        with span(operation, kind_of=trace.SpanKind.CLIENT, attributes=attributes):
            yield


@contextmanager
def enqueuing(kind_of_job: str, job: UUID) -> Iterator[str | None]:
    """A span around the writing of a job; gives the traceparent that its steps go on from, if there is a trace."""
    carrier: dict[str, str] = {}
    attributes = _of_job(kind_of_job, job) | {"messaging.operation.type": "send"}
    with span(f"send {kind_of_job}", kind_of=trace.SpanKind.PRODUCER, attributes=attributes):
        _w3c.inject(carrier)
        yield carrier.get("traceparent")


@contextmanager
def attempting(kind_of_job: str, job: UUID, *, step: str, attempt: int, traceparent: str | None) -> Iterator[Span]:
    """A span around an attempt at a step, in the trace of who enqueued the job."""
    parent = _w3c.extract({"traceparent": traceparent} if traceparent else {}, context=context.Context())
    attributes = _of_job(kind_of_job, job) | {
        "messaging.operation.type": "process",
        "plimsoll.step": step,
        "plimsoll.attempt": attempt,
    }
    name = f"process {kind_of_job} {step}"
    with span(name, kind_of=trace.SpanKind.CONSUMER, attributes=attributes, parent=parent) as current:
        yield current


def untraced() -> None:
    """From here on the current task makes no spans: what it does over and over would drown the trace."""
    context.attach(trace.set_span_in_context(trace.INVALID_SPAN))


def _of_job(kind_of_job: str, job: UUID) -> dict[str, str | int]:
    return {
        "messaging.system": "plimsoll",
        "messaging.destination.name": kind_of_job,
        "messaging.message.id": str(job),
    }
