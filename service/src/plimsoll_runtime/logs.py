"""Logs: one JSON object per line on stdout, ours and every library's alike, and nobody's data in any of them.

Called once by ``__main__``. Every line that is written while a request is served carries its ids (``correlation``), a
library's included; what is bound to structlog's context, such as the id of a job, is there too. An exception is written
as its place and kind, never its message (``failures``).
"""

from __future__ import annotations

import logging
import sys
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from functools import lru_cache
from json import dumps
from typing import TYPE_CHECKING, Final, TextIO

import structlog

from plimsoll_runtime.correlation import CURRENT, traced_as
from plimsoll_runtime.failures import place_and_kind

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

    from plimsoll_runtime.correlation import Ids

REQUESTS: Final = "plimsoll_runtime.access"
"""The logger of the one line that each request has."""

TALKATIVE: Final = {"httpx": logging.WARNING, "httpx2": logging.WARNING, "python_multipart": logging.ERROR}
"""Libraries that tell, below this level, what they work on: every URL that is asked, the odd byte of a form."""

WEBSOCKET: Final = '%s - "WebSocket %s"'
"""How uvicorn begins its lines on WebSockets: the client's address, and the target with its query."""

_log = structlog.stdlib.get_logger(REQUESTS)
_logger = logging.getLogger(REQUESTS)


def configure(*, level: int = logging.INFO) -> None:
    """Send structlog's and the standard library's records through the same chain."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _add_ids,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(lambda info: place_and_kind(info[1])),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = _Stdout(sys.stdout)
    handler.addFilter(_without_who_and_where)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.PositionalArgumentsFormatter(), *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.EventRenamer("message"),
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.captureWarnings(capture=True)  # Pillow's, of an upload that is odd: else they are no JSON
    for name, least in TALKATIVE.items():
        logging.getLogger(name).setLevel(max(level, least))


def request(ids: Ids, *, method: str, route: str, status: int, seconds: float, error_type: str | None) -> None:
    """Write a request's line.

    There is one for each request, so it is put together and written by hand: a tenth of what the chain above would
    cost. Where that chain is not all there is, as in an adopted app with logs of its own or under a further handler,
    the line goes the way of all others.
    """
    level = logging.ERROR if status >= 500 else logging.INFO
    handlers = logging.root.handlers
    if len(handlers) != 1 or type(handlers[0]) is not _Stdout or _logger.handlers:
        of_ids = {"request_id": ids.request_id, "trace_id": ids.trace_id}
        of_request = {"method": method, "route": route, "status": status, "duration_ms": round(seconds * 1000, 1)}
        _log.log(level, "request", **of_ids, **of_request, error_type=error_type)
    elif _logger.isEnabledFor(level):
        handlers[0].write(
            f'{{"level": "{"error" if status >= 500 else "info"}", "message": "request", '
            f'"request_id": "{ids.request_id}", "trace_id": "{ids.trace_id}", '
            f'"method": {_quoted(method)}, "route": {_quoted(route)}, "status": {status}, '
            f'"duration_ms": {seconds * 1000:.1f}, "error_type": {_quoted(error_type)}, '
            f'"logger": "{REQUESTS}", "timestamp": "{datetime.now(UTC).isoformat()[:-6]}Z"}}\n'
        )


class _Stdout(logging.StreamHandler[TextIO]):
    """Also writes lines that are JSON already, in turn with the others."""

    def write(self, line: str) -> None:
        """Write a line that ends in a newline; like every handler's, its failures stop nobody."""
        with self.lock or nullcontext(), suppress(OSError, ValueError):
            self.stream.write(line)
            self.stream.flush()


def _without_who_and_where(record: logging.LogRecord) -> bool:
    if str(record.msg).startswith(WEBSOCKET) and isinstance(record.args, tuple):
        record.msg = f"WebSocket{record.msg.removeprefix(WEBSOCKET)}"
        record.args = record.args[2:]
    return True


def _add_ids(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    ids = CURRENT.get()
    if ids is not None:
        event.setdefault("request_id", ids.request_id)
    if (trace_id := traced_as(ids)) is not None:
        event.setdefault("trace_id", trace_id)
    return event


_quoted = lru_cache(maxsize=1024)(dumps)
"""JSON of what there are few of: methods, routes, names of errors."""
