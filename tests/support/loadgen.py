"""The load: POSTs with unique ids, at a constant rate, over fresh and kept-alive connections, none of them retried.

Runs inside the cluster (``load.py`` mounts it into a pod), on the standard library alone. Open loop: each request has
its intended start, and an outage does not slow the arrivals down. Raw sockets: client libraries quietly retry what
died on a kept-alive connection, which is what is to be seen. One JSON line says that it has started, the last line is
the report; failures are counted by kind:

    connect refused · connect reset · connect timeout · connect error E…  no connection
    closed · reset · truncated · timeout                                  no (whole) answer
    status NNN · wrong answer                                             an answer, but not the right one

Kinds that show a server leaving under its clients are in CUT; the rest may come from a machine that is too slow.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import errno
import itertools
import json
import socket
import statistics
import sys
import time
import uuid
from dataclasses import dataclass, field

CUT = {"connect refused", "connect reset", "closed", "reset", "truncated"}
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class FailedError(Exception):
    """The request failed; the message is its kind."""


@dataclass
class Tally:
    """What became of the requests of one way to connect."""

    sent: int = 0
    acknowledged: int = 0
    failed: collections.Counter[str] = field(default_factory=collections.Counter)

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.sent + other.sent, self.acknowledged + other.acknowledged, self.failed + other.failed)


class Load:
    """All requests of one run."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.address = socket.gethostbyname(options.host)
        self.fresh, self.kept = Tally(), Tally()
        self.idle: collections.deque[Connection] = collections.deque()
        self.kept_open = 0
        self.opened = 0
        self.successes: list[float] = []
        self.latencies: list[float] = []
        self.lateness: list[float] = []
        self.failures: list[dict[str, object]] = []
        self.began = 0.0

    async def run(self) -> dict[str, object]:
        """Sends until the count is reached; returns the report."""
        self.began = time.monotonic()
        say({"started": time.time(), "to": self.address})
        tasks = set()
        for number in range(self.options.count):
            intended = self.began + number / self.options.rate
            await asyncio.sleep(max(0.0, intended - time.monotonic()))
            if self.options.stop_when_cut and any(failure["kind"] in CUT for failure in self.failures):
                break
            task = asyncio.create_task(self.request(number, intended))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)
        return self.report(time.monotonic())

    async def request(self, number: int, intended: float) -> None:
        """One request, at its intended time, whatever became of the others."""
        fresh = number % self.options.fresh_every == 0
        tally = self.fresh if fresh else self.kept
        tally.sent += 1
        begun = time.monotonic()
        self.lateness.append(begun - intended)
        try:
            async with asyncio.timeout(self.options.timeout):
                await self.post(fresh=fresh)
        except (FailedError, TimeoutError) as error:
            kind = str(error) or "timeout"
            tally.failed[kind] += 1
            after = round(begun - self.began, 3)
            self.failures.append(
                {"kind": kind, "fresh": fresh, "at": after, "seconds": round(time.monotonic() - begun, 3)}
            )
        else:
            tally.acknowledged += 1
            ended = time.monotonic()
            self.successes.append(ended)
            self.latencies.append(ended - intended)

    async def post(self, *, fresh: bool) -> None:
        """Sends one report, and expects exactly it back."""
        if fresh or self.kept_open < self.options.connections or not self.idle:
            connection = await self.connect()
            self.kept_open += not fresh
        else:
            connection = self.idle.popleft()  # idle for longest, so that all of them stay in use
        reusable = False
        try:
            reusable = await self.exchange(connection, fresh=fresh)
        except (ConnectionResetError, BrokenPipeError):
            raise FailedError("reset") from None
        finally:
            if reusable:
                self.idle.append(connection)
            else:
                connection[1].close()
                self.kept_open -= not fresh

    async def connect(self) -> Connection:
        """A new connection."""
        self.opened += 1
        try:
            async with asyncio.timeout(self.options.timeout / 2):
                return await asyncio.open_connection(self.address, self.options.port)
        except ConnectionRefusedError:
            raise FailedError("connect refused") from None
        except ConnectionResetError:
            raise FailedError("connect reset") from None
        except TimeoutError:
            raise FailedError("connect timeout") from None
        except OSError as error:
            raise FailedError(f"connect error {errno.errorcode.get(error.errno or 0, error)}") from None

    async def exchange(self, connection: Connection, *, fresh: bool) -> bool:
        """Request and answer; whether the connection may be used again."""
        reader, writer = connection
        report = str(uuid.uuid4())
        body = json.dumps({"report_id": report, "text": self.options.text}).encode()
        closing = "Connection: close\r\n" if fresh else ""
        head = (
            f"POST /reports HTTP/1.1\r\nHost: {self.options.host}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n{closing}\r\n"
        )
        writer.write(head.encode() + body)
        await writer.drain()
        status, headers = await self.head(reader)
        try:
            answer = await reader.readexactly(int(headers.get("content-length", "0")))
        except asyncio.IncompleteReadError:
            raise FailedError("truncated") from None
        if status != 201:
            raise FailedError(f"status {status}")
        if json.loads(answer).get("report_id") != report:
            raise FailedError("wrong answer")
        return not fresh and headers.get("connection", "").lower() != "close"

    @staticmethod
    async def head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
        """Status and headers of an answer."""
        try:
            lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        except asyncio.IncompleteReadError as error:
            raise FailedError("truncated" if error.partial else "closed") from None
        pairs = (line.partition(":") for line in lines[1:] if line)
        return int(lines[0].split(" ")[1]), {name.strip().lower(): value.strip() for name, _, value in pairs}

    def report(self, ended: float) -> dict[str, object]:
        """What happened, in numbers."""
        both = self.fresh + self.kept
        moments = [self.began, *sorted(self.successes), ended]
        gaps = [(after - before, before - self.began) for before, after in itertools.pairwise(moments)]
        longest, at = max(gaps)
        cuts = statistics.quantiles(self.latencies, n=1000) if len(self.latencies) > 1 else [0.0] * 999
        milliseconds = {"p50": cuts[499], "p99": cuts[989], "max": max(self.latencies, default=0.0)}
        return {
            **vars(both),
            "fresh": vars(self.fresh),
            "kept_alive": vars(self.kept),
            "connections_opened": self.opened,
            "seconds": round(ended - self.began, 1),
            "longest_gap_seconds": round(longest, 3),
            "longest_gap_at_seconds": round(at, 1),
            "latency_ms": {name: round(value * 1000, 1) for name, value in milliseconds.items()},
            "generator_late_ms": round(max(self.lateness, default=0.0) * 1000, 1),
            "cut": sum(number for kind, number in both.failed.items() if kind in CUT),
            "failures": self.failures[:20],
        }


def say(line: dict[str, object]) -> None:
    """One JSON line on standard output, at once."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("--port", type=int, default=80)
    parser.add_argument("--count", type=int, required=True, help="requests in all")
    parser.add_argument("--rate", type=float, required=True, help="requests per second")
    parser.add_argument("--fresh-every", type=int, default=3, help="each such request has a connection of its own")
    parser.add_argument("--connections", type=int, default=24, help="kept-alive connections in use")
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds for one request")
    parser.add_argument("--text", default="load", help="the reports' text, by which they are counted")
    parser.add_argument("--stop-when-cut", action="store_true", help="one failure of that sort is enough")
    return parser.parse_args()


if __name__ == "__main__":
    say(asyncio.run(Load(options()).run()))
