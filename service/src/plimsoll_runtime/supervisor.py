"""Several processes in one pod, when WEB_CONCURRENCY > 1: web processes on one socket, or workers.

The parent imports no app and opens no connection. It binds the socket and lends it to its children, forwards SIGTERM
and SIGINT, closes its own copy of the socket at that moment (or late clients would hang in a backlog that nobody
serves) and replaces a child that died. A child that ends within a minute of its start is not replaced: the others are
told to go, the pod ends with that child's code (``exits``), and Kubernetes' own backoff takes over.

Signals are blocked and waited for, not handled: nothing to race with, and as PID 1 none is lost.

The children share a folder for their metrics, so that any of them answers Prometheus for all; where a port is given for
that (PLIMSOLL_METRICS_PORT), the parent answers, since only one process can listen there.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Final

import structlog

from plimsoll_runtime.exits import Exit

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

SETTLED_SECONDS: Final = 60.0
"""Longer than a throttled pod imports: what dies while it starts must end the pod, not be started for ever."""

FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""What the client library calls it; ``metrics`` has the same name, but must not be imported yet."""

AWAITED: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGCHLD})

log = structlog.stdlib.get_logger(__name__)


class Supervisor:
    """Keeps ``count`` processes of the same command alive until told to stop.

    Args:
        command: arguments to ``python -m plimsoll_runtime``.
        count: how many processes.
        listener: the socket they share, if they serve.
        metrics_port: where to answer Prometheus for all of them; 0 for nowhere.
        settled_seconds: who has lived that long is replaced.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        count: int,
        listener: socket.socket | None,
        metrics_port: int = 0,
        settled_seconds: float = SETTLED_SECONDS,
    ) -> None:
        self._command = list(command)
        self._count = count
        self._listener = listener
        self._metrics_port = metrics_port
        self._folder: str | None = None
        self._settled_seconds = settled_seconds
        self._children: dict[int, float] = {}
        self._stopping = False
        self._codes: list[int] = []

    def run(self) -> int:
        """Until the last child has ended; returns the exit code (``exits``)."""
        signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED)
        try:
            self._share_metrics()
            return self._run()
        finally:
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)

    def _share_metrics(self) -> None:
        """Before any process imports what counts: it looks for the folder then, and only then."""
        if FOLDER not in os.environ:
            try:
                self._folder = os.environ[FOLDER] = tempfile.mkdtemp(prefix="plimsoll-metrics-")
            except OSError as error:
                log.warning(  # and no more than that: requests are served without, too
                    "no folder for metrics: each process tells of itself only; mount a writable TMPDIR or /tmp",
                    error=error.strerror,
                )
                return
        if self._metrics_port:
            from plimsoll_runtime import metrics  # noqa: PLC0415 - after the folder, as above

            metrics.serve(self._metrics_port)

    def _run(self) -> int:
        if self._listener is not None:
            self._listener.set_inheritable(True)
            self._command += ["--fd", str(self._listener.fileno())]
        for _ in range(self._count):
            self._start()
        while self._children:
            received = signal.sigwait(AWAITED)
            if received == signal.SIGCHLD:
                self._reap()
            else:
                self._stop(received)
        return self._code()

    def _code(self) -> int:
        """Of the first child that did not end well. One that was still starting counts only if nobody served."""
        bad = [code for code in self._codes if code not in {Exit.CLEAN, Exit.TERMINATED}]
        if bad:
            return bad[0]
        return Exit.CLEAN if Exit.CLEAN in self._codes else Exit.TERMINATED

    def _start(self) -> None:
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", "plimsoll_runtime", *self._command, "--supervised"],
            os.environ | {"WEB_CONCURRENCY": "1"},
            setsigmask=(),
        )
        self._children[pid] = time.monotonic()

    def _reap(self) -> None:
        """Whatever has ended; as PID 1 that includes the orphans of steps that were killed."""
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            started = self._children.pop(pid, None)
            if started is not None:
                code = os.waitstatus_to_exitcode(status)
                self._ended(pid, code if code >= 0 else 128 - code, lived=time.monotonic() - started)

    def _ended(self, pid: int, code: int, *, lived: float) -> None:
        if FOLDER in os.environ:
            from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415 - as above

            mark_process_dead(pid)  # type: ignore[no-untyped-call] # what it had in use, it has no more
        if self._stopping:
            self._codes.append(code)
            return
        log.error("process died", pid=pid, exit_code=code)
        if lived >= self._settled_seconds:
            self._start()
        else:
            self._codes.append(code or Exit.NOT_STARTED)  # it had no business to end well so soon
            self._stop(signal.SIGTERM)

    def _stop(self, received: int) -> None:
        self._stopping = True
        if self._listener is not None:
            self._listener.close()
        for pid in self._children:
            os.kill(pid, received)
