"""The inside of a step's own process: ``python -m plimsoll_runtime.jobs.child package.module:function``.

The worker (``process``) writes one JSON line, the payload, and then one byte for every renewal of the lease; it reads
JSON lines: progress, and at the end the result or the error. A thread watches for the renewals, so the whole process
group dies when the worker does, and when the lease may have run out because the worker is stopped or cut off: then the
step may be running elsewhere. Imports little beside the step's own module: this must start fast.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import threading
from pkgutil import resolve_name
from typing import BinaryIO
from uuid import UUID

from plimsoll_runtime.failures import place_and_kind
from plimsoll_runtime.jobs.model import PermanentError, StepInput


def main() -> None:
    """Run one attempt."""
    results = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever the step prints goes to the log, not between our lines
    stdin = sys.stdin.buffer
    header = json.loads(stdin.readline())
    payload = stdin.read(header["payload_bytes"])
    threading.Thread(target=watch, args=(stdin, header["lease_seconds"]), daemon=True).start()

    def send(**message: object) -> None:
        results.write(json.dumps(message) + "\n")

    step = StepInput(
        job=UUID(header["job"]),
        step=header["step"],
        attempt=header["attempt"],
        input=header["input"],
        results=header["results"],
        payload=payload,
        report=lambda share: send(progress=share),
    )
    try:
        send(result=resolve_name(sys.argv[1])(step))
    except PermanentError as error:
        send(error=str(error), permanent=True)
    except Exception as error:  # noqa: BLE001 - the app's code may raise anything; the worker decides what follows
        said = {"level": "error", "message": "step raised", "job": header["job"], "step": step.step}
        print(json.dumps(said | {"exception": place_and_kind(error)}), flush=True)  # noqa: T201 - the worker's log
        send(error=f"{type(error).__name__}: {error}", permanent=False)


def watch(renewals: BinaryIO, lease_seconds: float) -> None:
    """Kill the group when the worker is gone or has been silent for longer than the lease."""
    fd = renewals.fileno()
    while select.select([fd], [], [], lease_seconds)[0] and os.read(fd, 4096):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
