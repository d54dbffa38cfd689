"""The real programs as child processes, and a database of the test's own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest
from support.eventually import eventually
from support.tokens import ENVIRONMENT

if TYPE_CHECKING:
    from support.postgres import PrivatePostgres

FAST = {
    "PLIMSOLL_DRAIN_SECONDS": "0",
    "PLIMSOLL_REQUEST_DEADLINE_SECONDS": "6",
    "PLIMSOLL_JOB_DEADLINE_SECONDS": "5",
    "PLIMSOLL_JOB_LEASE_SECONDS": "2",
    "PLIMSOLL_JOB_POLL_SECONDS": "0.2",
    "DB_POOL_SIZE": "2",
    "PYTHONPATH": str(Path(__file__).parents[2]),  # where integration.service.job_kinds is
    "PYTHONUNBUFFERED": "",  # as Python is without it: what is printed may be lost at the end
    "PYTHONWARNINGS": "error",
} | ENVIRONMENT


UNSHARED = ("unshare", "--pid", "--fork")
"""Before a command: makes it PID 1, as in a container."""

ALONE_IN_A_PID_NAMESPACE = pytest.mark.skipif(
    subprocess.run([*UNSHARED, "true"], capture_output=True, check=False).returncode != 0,
    reason="may not make a PID namespace here",
)


class Server(Enum):
    """What starts the app, with its command line after ``python -m``."""

    PLIMSOLL = "plimsoll_runtime serve {app}"
    SETTLED_AT_ONCE = "integration.service.settled_at_once serve {app}"
    UVICORN = "uvicorn {app} --port {port}"
    UVICORN_WORKERS = "uvicorn {app} --port {port} --workers 2"
    GUNICORN = (
        "gunicorn {app} -k uvicorn_worker.UvicornWorker --workers 2 --timeout 30 --graceful-timeout 30 "
        "--bind 127.0.0.1:{port}"
    )

    def command(self, *, app: str, port: int) -> tuple[str, ...]:
        return tuple(self.value.format(app=app, port=port).split())


@dataclass(frozen=True)
class Database:
    """A database of the test's own."""

    server: PrivatePostgres
    name: str

    @property
    def url(self) -> str:
        return self.server.url(database=self.name)

    def one(self, statement: str, *parameters: object) -> object:
        rows = self.server.execute(statement, *parameters, database=self.name)
        return rows[0][0] if rows else None

    def backends(self, application_name: str) -> int:
        count = self.one("SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", application_name)
        assert isinstance(count, int)
        return count


def run_migration(url: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "captions.migrate"],
        env=os.environ | FAST | {"DATABASE_URL": url} | env,
        capture_output=True,
        check=False,
        text=True,
    )


class Program:
    """A running ``python -m …``, and what it logs."""

    def __init__(self, command: list[str], *, env: dict[str, str], log: Path) -> None:
        self.name = env["PGAPPNAME"]
        self._log = log
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                command, env=os.environ | env, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def saw(self, pattern: str, *, within: float = 30) -> re.Match[str]:
        def look() -> re.Match[str] | None:
            found = re.search(pattern, self.log)
            if found is None and self.process.poll() is not None:
                raise AssertionError(f"{self.name} ended with {self.process.returncode}:\n{self.log}")
            return found

        return eventually(look, within=within)

    def children(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self, *, within: float = 30) -> int:
        return self.process.wait(timeout=within)

    def kill_all(self) -> None:
        for kill in (os.killpg, os.kill):
            with suppress(ProcessLookupError):
                kill(self.process.pid, signal.SIGKILL)
        self.process.wait()


Start = Callable[..., Program]


class Web(httpx2.Client):
    """A client of one started web process."""

    program: Program
    port: int


def ended_after_two_sigterms(web: Web, *, gate: Path) -> int:
    """The exit code of a server that serves ``lasting``; between the two it has a request in its hands."""
    with ThreadPoolExecutor(1) as other:
        request = other.submit(web.get, "/gated", params={"gate": str(gate)})
        web.program.saw("/gated began")
        web.program.signal(signal.SIGTERM)
        web.program.saw("Shutting down")
        web.program.signal(signal.SIGTERM)
        gate.touch()
        assert request.result().json() == "through"
    return web.program.ended()
