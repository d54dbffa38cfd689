"""Which request this is: the ids that tie its log lines, its trace and its answer together.

Every request has a trace id: that of the client's ``traceparent``, or a new one. Its request id is the client's
``X-Request-ID``, or the trace id. ``access`` sets both for the time of the request; ``logs`` puts them on every line,
``telemetry`` gives a trace that begins here that same id, ``tracing`` hands both on.
"""

from __future__ import annotations

import random
import re
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, NamedTuple

from opentelemetry import trace

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import Scope

REQUEST_ID: Final = b"x-request-id"
TRACEPARENT: Final = b"traceparent"

SANE_ID: Final = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
"""An id that cannot forge a log line or a header."""

W3C: Final = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")
"""A traceparent of this or a later version of the standard; its group is the trace id."""

UNMATCHED: Final = "unmatched"
"""The route of a request that no route took. Its path stays out of logs and metrics: it may hold anything."""


class Ids(NamedTuple):
    """Of one request. Both are safe to be printed as they are."""

    request_id: str
    trace_id: str
    begins: bool = False
    """Whether the trace begins here."""


CURRENT: Final[ContextVar[Ids | None]] = ContextVar("plimsoll_request", default=None)
"""Those of the request that is being served, in its own task and threads."""


def ids_of(headers: Iterable[tuple[bytes, bytes]]) -> Ids:
    """What the client says that it is, as far as that is well-formed; the rest is made up."""
    request_id = trace_id = ""
    for name, value in headers:
        if name == REQUEST_ID and SANE_ID.fullmatch(value):
            request_id = value.decode()
        elif name == TRACEPARENT and (parent := W3C.fullmatch(value)):
            trace_id = parent[1].decode()
    # A trace may have begun around an adopted app. Not a uuid4: samplers look at the lower half of an id, where a
    # uuid has fixed bits.
    inherited = trace_id or traced_as(None)
    trace_id = inherited or f"{random.getrandbits(128):032x}"
    return Ids(request_id or trace_id, trace_id, not inherited)


def traced_as(ids: Ids | None) -> str | None:
    """The trace id at this point of the program: that of the trace if there is one, else the request's own."""
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        return f"{context.trace_id:032x}"
    return ids.trace_id if ids else None


def tie(ids: Ids) -> Ids:
    """Write the request's id into its trace, while that is open; gives what the request's line should say."""
    span = trace.get_current_span()
    known = span.get_span_context()
    if not known.is_valid:
        return ids
    span.set_attribute("plimsoll.request_id", ids.request_id)
    return Ids(ids.request_id, f"{known.trace_id:032x}")


def route_of(scope: Scope) -> str:
    """The template of the route that took the request, once one has."""
    return getattr(scope.get("route"), "path", None) or UNMATCHED
