"""How a process of ours ends: its exit codes, what is written before, and what may not hold it up.

Used by ``__main__``, ``server`` and ``supervisor``, and by ``adopt`` under servers that are not ours.

    0    asked to stop; everything in flight was served, everything that was open was closed
    1    asked to stop, but the app did not close within PLIMSOLL_LIFESPAN_SECONDS
    2    the environment or the command line is wrong
    3    the app could not be imported, or did not start, or its port is taken
    4    asked to stop, but requests were cut by PLIMSOLL_REQUEST_DEADLINE_SECONDS (clients noticed: it outranks 1)
    130  SIGINT during the import, or a second one while stopping
    143  SIGTERM during the import or the app's start-up, when nobody knew us yet

A supervisor ends with the code of the first of its processes that did not end well; a process that a signal killed
counts as 128 + the signal's number, so 137 is SIGKILL. One that was still starting when the others had served does not.

Standard library only.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from contextlib import suppress
from enum import IntEnum
from typing import Final

THREADS_SECONDS: Final = 1.0
"""How long threads that nobody waits for any more may keep a process that is otherwise done."""


class Exit(IntEnum):
    """The table above."""

    CLEAN = 0
    UNCLOSED = 1
    USAGE = 2
    NOT_STARTED = 3
    CUT = 4
    INTERRUPTED = 130
    TERMINATED = 143


def flush() -> None:
    """Write what is still buffered: every log handler's, and what was printed.

    uvicorn ends its process by the signal that stopped it, so ``atexit`` does not run, and without this a line that
    was printed into a pipe would be lost.
    """
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    for logger in loggers:
        for handler in getattr(logger, "handlers", ()):
            with suppress(OSError, ValueError, RuntimeError):  # closed; or we are a signal handler amid a write
                handler.flush()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, RuntimeError):
            stream.flush()


def leave(code: int) -> None:
    """End the process now. Python itself would wait for every thread, also for one whose request was cut long ago."""
    flush()
    os._exit(code)


def leave_after(seconds: float, code: int) -> None:
    """End the process at that time, unless it has ended by itself."""
    timer = threading.Timer(seconds, leave, (code,))
    timer.daemon = True
    timer.start()
