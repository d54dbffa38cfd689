"""The worker's side of a step's child process (``child``): start it, feed it, listen to it, and be sure it is gone.

The child leads a process group of its own, so that killing it takes along whatever it started. Its environment has no
DATABASE_URL: a step could not open a connection that nobody counted even by accident. Nor has it the secret that signs
tokens: what it reads comes from outside. Its working and temporary directory is its attempt's own and goes with it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from plimsoll_runtime.errors import PlimsollError
from plimsoll_runtime.jobs.model import PermanentError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from plimsoll_runtime.jobs.model import Json, Run, StepInput

WITHHELD: Final = frozenset({"DATABASE_URL", "PLIMSOLL_TOKEN_SECRET"})
LINE_LIMIT: Final = 16 * 1024 * 1024
"""The longest result that a step may send, in bytes."""


class StepError(PlimsollError):
    """The step failed; another attempt may succeed."""


class Child:
    """One step's process. Cancelling ``run`` kills it; whatever way ``run`` ends, the whole group is gone."""

    def __init__(self, run: Run, *, lease_seconds: float) -> None:
        self._target = f"{run.__module__}:{run.__qualname__}"
        self._lease_seconds = lease_seconds
        self._stdin: asyncio.StreamWriter | None = None

    def renew(self) -> None:
        """Tell the child that the lease has been prolonged."""
        if self._stdin is not None and not self._stdin.is_closing():
            self._stdin.write(b".")

    async def run(self, step: StepInput) -> Json:
        """Run the step to its end.

        Raises:
            StepError: it failed or died.
            PermanentError: it said that there is no use in trying again.
        """
        async with self._started() as (process, stdin, stdout):
            stdin.write(self._header(step) + step.payload)
            with suppress(ConnectionError):  # it died before it read everything: the exit code says more
                await stdin.drain()
            self._stdin = stdin
            async for line in stdout:
                message = json.loads(line)
                if "result" in message:
                    result: Json = message["result"]
                    return result
                if "error" in message:
                    raise (PermanentError if message["permanent"] else StepError)(message["error"])
                step.report(message["progress"])
            raise StepError(f"the step's process ended without a result: {_ending(await process.wait())}")

    def _header(self, step: StepInput) -> bytes:
        header = {
            "job": str(step.job),
            "step": step.step,
            "attempt": step.attempt,
            "input": step.input,
            "results": step.results,
            "payload_bytes": len(step.payload),
            "lease_seconds": self._lease_seconds,
        }
        return json.dumps(header).encode() + b"\n"

    @asynccontextmanager
    async def _started(self) -> AsyncIterator[tuple[asyncio.subprocess.Process, Any, Any]]:
        with tempfile.TemporaryDirectory(prefix="step-", ignore_cleanup_errors=True) as folder:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "plimsoll_runtime.jobs.child",
                self._target,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=LINE_LIMIT,
                start_new_session=True,
                cwd=folder,
                env={name: value for name, value in os.environ.items() if name not in WITHHELD} | {"TMPDIR": folder},
            )
            try:
                yield process, process.stdin, process.stdout
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    return f"killed by {signal.Signals(-code).name}" + (" (out of memory?)" if -code == signal.SIGKILL else "")
