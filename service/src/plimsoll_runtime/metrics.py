"""What a process tells Prometheus: its requests, its pool, its jobs, and when its event loop stood still.

``access``, ``engine``, ``stalls`` and ``jobs.worker`` count here. A web process answers ``/metrics`` beside its probes
(``health``); a job worker, which has no port, and whoever wants it apart from the app, sets PLIMSOLL_METRICS_PORT.

Several processes of one pod share a folder (PROMETHEUS_MULTIPROC_DIR), so that any of them, or their supervisor,
answers for all. The client library looks for that variable when it is imported: it is set before (``supervisor``, or
the environment that gunicorn or uvicorn is started in).
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prometheus_client import CONTENT_TYPE_LATEST as CONTENT_TYPE
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector
from typing_extensions import override

from plimsoll_runtime.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client import Metric

__all__ = ["CONTENT_TYPE"]

FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"

if FOLDER in os.environ:
    Path(os.environ[FOLDER]).mkdir(parents=True, exist_ok=True)  # or the first metric below could not be made

_HTTP_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_STEP_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900)

REQUEST_SECONDS: Final = Histogram(
    "plimsoll_request_seconds",
    "From a request's arrival to the end of its answer; its count is the number of requests.",
    ["method", "route", "status"],
    buckets=_HTTP_SECONDS,
)
POOL_LIMIT: Final = Gauge(
    "plimsoll_pool_limit", "Connections that the web's pools may open at most.", multiprocess_mode="livesum"
)
POOL_SIZE: Final = Gauge(
    "plimsoll_pool_size", "Of these, what the pools keep; the rest is overflow.", multiprocess_mode="livesum"
)
POOL_OPEN: Final = Gauge("plimsoll_pool_open", "Connections that the pools have open.", multiprocess_mode="livesum")
POOL_IN_USE: Final = Gauge("plimsoll_pool_in_use", "Connections in the hands of requests.", multiprocess_mode="livesum")
POOL_WAIT_SECONDS: Final = Histogram(
    "plimsoll_pool_wait_seconds",
    "How long those waited for a connection who found none; the count is the number of waits.",
    buckets=_HTTP_SECONDS,
)
POOL_TIMEOUTS: Final = Counter("plimsoll_pool_timeouts", "Waits that ended without a connection: a 503 each.")
LOOP_STALLS: Final = Counter("plimsoll_loop_stalls", "How often a handler blocked the event loop.", ["handler"])
LOOP_STALL_SECONDS: Final = Counter("plimsoll_loop_stall_seconds", "For how long in all.", ["handler"])
JOBS_FINISHED: Final = Counter("plimsoll_jobs_finished", "Jobs that ended, by how.", ["kind", "status"])
STEPS_WAITING: Final = Gauge(
    "plimsoll_steps_waiting",
    "Steps in the ledger that a worker could take now, as one worker last counted them, at most 10000.",
    ["kind"],
    multiprocess_mode="livemostrecent",
)
STEPS_RUNNING: Final = Gauge(
    "plimsoll_steps_running", "Steps in the hands of workers.", ["kind", "step"], multiprocess_mode="livesum"
)
STEP_SECONDS: Final = Histogram(
    "plimsoll_step_seconds",
    "How long attempts at steps took, by how they ended; the count is the number of attempts.",
    ["kind", "step", "ending"],
    buckets=_STEP_SECONDS,
)

_requests: Final[dict[tuple[str, str, int], Histogram]] = {}


def count_request(*, method: str, route: str, status: int, seconds: float) -> None:
    """One request more. The series is looked up here: the library's own look-up costs more than the counting."""
    series = _requests.get((method, route, status))
    if series is None:
        series = _requests[method, route, status] = REQUEST_SECONDS.labels(method, route, status)
    series.observe(seconds)


def exposition() -> bytes:
    """All of it in Prometheus' text format. Reads files where processes share a folder: not for the event loop."""
    return generate_latest(_registry())


def serve(port: int) -> None:
    """Answer Prometheus on a port of its own, from a thread, for as long as the process lives.

    Raises:
        SettingsError: the port cannot be had.
    """
    try:
        start_http_server(port, registry=_registry())
    except OSError as error:
        raise SettingsError(f"PLIMSOLL_METRICS_PORT is {port}, and cannot be listened on: {error.strerror}") from None


def _registry() -> CollectorRegistry:
    if FOLDER not in os.environ:
        return REGISTRY
    shared = CollectorRegistry()
    shared.register(_Written(None, os.environ[FOLDER]))  # type: ignore[no-untyped-call] # the library's untyped corner
    return shared


class _Written(MultiProcessCollector):
    """All files of the folder that have something in them.

    A process that starts makes its files empty and fills them then; read in between, the library fails, for good if
    the process was killed there (github.com/prometheus/client_python/issues/1199).
    """

    @override
    def collect(self) -> Iterable[Metric]:
        written = []
        for file in Path(os.environ[FOLDER]).glob("*.db"):
            with suppress(FileNotFoundError):  # a dead process' file, taken away just now
                if file.stat().st_size:
                    written.append(str(file))
        merged: Iterable[Metric] = self.merge(written)  # type: ignore[no-untyped-call] # as above
        return merged
