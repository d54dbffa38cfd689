"""Notices a blocked event loop while it is blocked, and names the handler.

A thread asks the loop for a sign of life a few times per second (``observe`` starts it in a web process,
``jobs.worker`` in a worker). If none comes within PLIMSOLL_STALL_SECONDS it looks at what the loop's thread is doing,
writes a line and counts; a second line says for how long it was, once it is over. A handler that never returns has its
first line all the same. A stall of one and a half times that setting is always seen, a shorter one perhaps.

Blocking is a handler's mistake: ``time.sleep``, a synchronous client, a long computation in an ``async def``. With a
plain ``def`` the framework runs it in a thread; see docs/how-to/observe-a-service.md.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from plimsoll_runtime import metrics
from plimsoll_runtime.correlation import route_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

UNKNOWN: Final = "unknown"
"""The handler, where the loop was free again before anybody could look: C code may hold the interpreter as well."""

LOOPS: Final = frozenset({"asyncio.runners", "asyncio.base_events", "asyncio.events"})
"""Below these a thread is on its way into the loop."""

CALLERS: Final = frozenset(
    {
        ("fastapi.routing", "run_endpoint_function"),
        ("fastapi.dependencies.utils", "solve_dependencies"),
        ("starlette.background", "BackgroundTask.__call__"),
        ("starlette.routing", "request_response.<locals>.app"),
        ("starlette.routing", "websocket_session.<locals>.app"),
        ("plimsoll_runtime.jobs.attempt", "Attempt._run_step"),
    }
)
"""Who calls the app's own code: what the last of these on the stack has called is the handler."""

PLUMBING: Final = frozenset(
    {"asyncio", "anyio", "contextlib", "fastapi", "opentelemetry", "plimsoll_runtime", "starlette", "uvicorn", "uvloop"}
)
"""Packages that are never the handler."""

log = structlog.stdlib.get_logger(__name__)


class Culprit(NamedTuple):
    """Who holds the loop."""

    handler: str
    at: str | None
    """The line of the handler's own package that the loop is at."""
    route: str | None
    request_id: str | None


class Watchdog:
    """Watches the event loop that it is started on.

    Args:
        seconds: how long the loop may be silent; 0 switches the watchdog off.
        clock: monotonic seconds.
    """

    def __init__(self, *, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._stopped = threading.Event()

    def start(self) -> None:
        """From now on. Called in the loop's own thread."""
        if self._seconds:
            watched = (asyncio.get_running_loop(), threading.get_ident())
            threading.Thread(target=self._watch, args=watched, name="plimsoll-stalls", daemon=True).start()

    def stop(self) -> None:
        """Watch no longer; a stall that is under way is not awaited."""
        self._stopped.set()

    def _watch(self, loop: asyncio.AbstractEventLoop, thread: int) -> None:
        while not self._stopped.wait(self._seconds / 2):
            alive = threading.Event()
            asked_at = self._clock()
            try:
                loop.call_soon_threadsafe(alive.set)
            except RuntimeError:  # the loop is closed
                return
            on_time = alive.wait(self._seconds)
            late = self._clock() - asked_at
            if on_time and late < self._seconds:
                continue
            if self._stopped.is_set():  # meanwhile; the loop may have ended, and owes nobody an answer
                return
            culprit = _unknown() if on_time else find(_stack(thread))
            metrics.LOOP_STALLS.labels(culprit.handler).inc()
            log.warning("event loop blocked", **culprit._asdict(), seconds=round(late, 3))
            while not (alive.wait(self._seconds) or self._stopped.is_set() or loop.is_closed()):
                pass
            late = self._clock() - asked_at
            metrics.LOOP_STALL_SECONDS.labels(culprit.handler).inc(late)
            log.warning("event loop free again", handler=culprit.handler, seconds=round(late, 3))


def find(stack: Sequence[FrameType]) -> Culprit:
    """The handler among the frames of the loop's thread, outermost first."""
    names = [(frame.f_globals.get("__name__", ""), frame.f_code.co_qualname) for frame in stack]
    inside = 1 + max((place for place, (module, _) in enumerate(names) if module in LOOPS), default=-1)
    called = 1 + max((place for place, name in enumerate(names) if name in CALLERS), default=inside - 1)
    for place in range(max(inside, called), len(names)):
        module, function = names[place]
        package = module.partition(".")[0]
        if package not in PLUMBING:
            own = [frame for frame, name in zip(stack, names, strict=True) if name[0].partition(".")[0] == package]
            at = f"{own[-1].f_code.co_filename}:{own[-1].f_lineno}"
            return Culprit(f"{module}.{function}", at, *_request(stack))
    if len(names) <= inside:
        return _unknown()
    module, function = names[-1]
    return Culprit(f"{module}.{function}", None, *_request(stack))


def _request(stack: Sequence[FrameType]) -> tuple[str | None, str | None]:
    """Route and id of the request, from the frame of the middleware that serves it."""
    for frame in stack:
        if frame.f_globals.get("__name__") == "plimsoll_runtime.access":
            seen = frame.f_locals
            if "scope" in seen and "ids" in seen:
                return route_of(seen["scope"]), seen["ids"].request_id
    return None, None


def _stack(thread: int) -> list[FrameType]:
    frame = sys._current_frames().get(thread)  # noqa: SLF001 - documented, in spite of its name
    stack = []
    while frame is not None:
        stack.append(frame)
        frame = frame.f_back
    return stack[::-1]


def _unknown() -> Culprit:
    return Culprit(UNKNOWN, None, None, None)
