"""Servers under measurement: each is a process of its own on one core, and the kernel says what it costs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx2
from support.eventually import eventually
from support.hammer import hammer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from support.hammer import Get


@dataclass
class Server:
    """A process under measurement, and what each of its runs cost."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    cpu: list[float] = field(default_factory=list)
    """Seconds of CPU per request, a figure for each run."""
    seconds: list[float] = field(default_factory=list)
    """Seconds per request, likewise."""

    def cpu_seconds(self) -> float:
        """Of all threads of the process, since its start: the clock of CLOCK_PROCESS_CPUTIME_ID, seen from outside."""
        return time.clock_gettime((~self.process.pid << 3) | 2)

    def run(self, gets: Sequence[Get], *, count: int, connections: int) -> tuple[float, float]:
        """Seconds of CPU and seconds per request."""
        before = self.cpu_seconds()
        elapsed = hammer(self.port, gets, count=count, connections=connections)
        return (self.cpu_seconds() - before) / count, elapsed / count

    def measure(self, gets: Sequence[Get], *, count: int, connections: int) -> None:
        """One run that counts."""
        cpu, seconds = self.run(gets, count=count, connections=connections)
        self.cpu.append(cpu)
        self.seconds.append(seconds)

    @property
    def busy(self) -> float:
        """Which part of the time the server computed."""
        return sum(self.cpu) / sum(self.seconds)


def unused_port() -> int:
    """A port that nobody has at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def pinned(
    name: str, command: Sequence[str], *, port: int, core: int, env: dict[str, str], ready: str, log: Path
) -> Iterator[Server]:
    """``python -m COMMAND`` on that core, once it answers 200 at ``ready``."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["taskset", "--cpu-list", str(core), sys.executable, "-m", *command],
            env=os.environ | env,
            stdout=out,
            stderr=subprocess.STDOUT,
        )

    def answers() -> bool:
        if process.poll() is not None:
            raise RuntimeError(log.read_text())
        try:
            return httpx2.get(f"http://127.0.0.1:{port}{ready}").status_code == 200
        except httpx2.TransportError:
            return False

    try:
        eventually(answers, within=60)
        yield Server(name, port, process)
    finally:
        process.kill()
        process.wait()
