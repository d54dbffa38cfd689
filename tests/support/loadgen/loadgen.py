"""The load: POSTs with unique ids, at a constant rate, over fresh and kept-alive connections, none of them retried.

Runs inside the cluster (``load.py`` mounts it into a pod), in the service's image. Open loop: each request has its
intended start, and an outage does not slow the arrivals down. Every request names the next of the targets, such as the
Service itself and a proxy in front of it. Beside the short POSTs there are, if asked for, those of ``long``.

Prints one JSON line as it starts, one for each second with the latencies of the short POSTs (``tally``), and at the end
its report.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import itertools
import json
import signal
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import long
import uvloop
from tally import Book
from wire import CUT, Connection, FailedError, Target, connect, head, read_answer, resets

if TYPE_CHECKING:
    from collections.abc import Awaitable

DECISECOND = 0.1


class Load:
    """All requests of one run."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.targets = [Target.of(each) for each in options.target]
        self.book = Book()
        self.slide = Path(__file__).with_name("slide.png").read_bytes() if options.job_every else b""
        self.idle: dict[str, collections.deque[Connection]] = {each.name: collections.deque() for each in self.targets}
        self.open = collections.Counter[str]()
        self.over = asyncio.Event()

    async def run(self) -> dict[str, object]:
        """Sends until the count is reached, or a SIGTERM comes; returns the report."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.over.set)
        say({"started": time.time(), "to": {each.name: each.address for each in self.targets}})
        standing = [asyncio.create_task(each) for each in self._standing()]
        under_way: set[asyncio.Task[None]] = set()
        for number in range(self.options.count) if self.options.count else itertools.count():
            intended = number / self.options.rate
            await asyncio.sleep(max(0.0, intended - self.book.now()))
            if self.over.is_set() or (self.options.stop_when_cut and self._cut()):
                break
            task = asyncio.create_task(self._one(number, intended))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        await asyncio.gather(*under_way)
        for each in standing:
            each.cancel()
        await asyncio.gather(*standing, return_exceptions=True)
        say(self.book.second())
        return self._report()

    def _standing(self) -> list[Awaitable[None]]:
        options = self.options
        clients: list[Awaitable[None]] = [self._tell_every_second()]
        for target in self.targets:
            clients += [self._again("stream", target) for _ in range(options.streams)]
            clients += [self._again("websocket", target) for _ in range(options.websockets)]
        return clients

    async def _tell_every_second(self) -> None:
        while True:
            await asyncio.sleep(1)
            say(self.book.second())

    async def _again(self, kind: str, target: Target) -> None:
        """A client that stays for the whole run."""
        while True:
            if kind == "stream":
                await self._counted(kind, long.stream(target, seconds=self.options.long_seconds))
            else:
                begun = self.book.now()
                try:
                    await long.websocket(target, self.book, every=0.5)
                except Exception as error:  # noqa: BLE001 - whatever it is, it failed
                    self.book.failure(kind, named(error), begun=begun)
            await asyncio.sleep(DECISECOND)

    async def _one(self, number: int, intended: float) -> None:
        """One request, at its intended time, whatever became of the others."""
        target, options = self.targets[number % len(self.targets)], self.options
        self.book.late = max(self.book.late, self.book.now() - intended)
        if options.slow_every and number % options.slow_every == 1:
            await self._counted("slow", long.slow(target, text=options.text, seconds=options.long_seconds))
        elif options.stall_every and number % options.stall_every == 2:
            await self._counted("stalled", long.stalled(target, text=options.text, seconds=options.long_seconds))
        elif options.job_every and number % options.job_every == 3:
            await self._counted("job", long.job(target, self.slide))
        else:
            is_fresh = number // len(self.targets) % options.fresh_every == 0
            kind = f"{target.name} {'fresh' if is_fresh else 'kept alive'}"
            if await self._counted(kind, self._post(target, is_fresh=is_fresh)):
                self.book.latency(self.book.now() - intended)

    async def _counted(self, kind: str, request: Awaitable[str | None]) -> bool:
        """Whether it was answered as it should be; what it gives back is the id that must be stored now."""
        begun = self.book.now()
        self.book.tallies[kind].sent += 1
        try:
            stored = await request
        except Exception as error:  # noqa: BLE001 - likewise
            self.book.failure(kind, named(error), begun=begun)
            return False
        self.book.success(kind, stored)
        return True

    async def _post(self, target: Target, *, is_fresh: bool) -> str:
        """Sends one report, and expects exactly it back; its id."""
        report = str(uuid.uuid4())
        async with asyncio.timeout(self.options.timeout):
            idle, own = self.idle[target.name], self.options.connections
            if is_fresh or self.open[target.name] < own or not idle:
                connection = await connect(target, seconds=self.options.timeout / 2)
                self.open[target.name] += not is_fresh
            else:
                connection = idle.popleft()  # idle for longest, so that all of them stay in use
            reusable = False
            try:
                with resets():
                    reusable = await self._exchange(connection, target, report, is_fresh=is_fresh)
            finally:
                if reusable:
                    idle.append(connection)
                else:
                    connection[1].close()
                    self.open[target.name] -= not is_fresh
        return report

    async def _exchange(self, connection: Connection, target: Target, report: str, *, is_fresh: bool) -> bool:
        """Request and answer; whether the connection may be used again."""
        reader, writer = connection
        body = json.dumps({"report_id": report, "text": self.options.text}).encode()
        more = {"Content_Type": "application/json"} | ({"Connection": "close"} if is_fresh else {})
        writer.write(head("POST", self.options.path, target, length=len(body), **more) + body)
        await writer.drain()
        answer = await read_answer(reader)
        if answer.status != 201:
            raise FailedError(f"status {answer.status}")
        if json.loads(answer.body).get("report_id") != report:
            raise FailedError("wrong answer")
        return not is_fresh and not answer.closes

    def _cut(self) -> int:
        return sum(count for kind, count in self.book.failed().items() if kind in CUT)

    def _report(self) -> dict[str, object]:
        """What happened, in numbers."""
        book = self.book
        return {
            "sent": book.total("sent"),
            "acknowledged": book.total("acknowledged"),
            "to_be_stored": book.stored,
            "checksum": book.checksum,
            "failed": book.failed(),
            "cut": self._cut(),
            "requests": {kind: vars(tally) for kind, tally in sorted(book.tallies.items())},
            "seconds": round(book.now(), 1),
            "longest_gap_seconds": round(book.longest_gap[0], 3),
            "longest_gap_at_seconds": round(book.longest_gap[1], 1),
            "generator_late_ms": round(book.late * 1000, 1),
            "failures": book.failures,
        }


def say(line: dict[str, object]) -> None:
    """One JSON line on standard output, at once."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", action="append", required=True, metavar="NAME=HOST[:PORT]")
    parser.add_argument("--path", default="/reports", help="where the short POSTs go")
    parser.add_argument("--count", type=int, default=0, help="requests, but for those of standing clients; 0: no end")
    parser.add_argument("--rate", type=float, required=True, help="requests per second")
    parser.add_argument("--fresh-every", type=int, default=3, help="each such request has a connection of its own")
    parser.add_argument("--connections", type=int, default=24, help="kept-alive connections in use, for each target")
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds for a short request")
    parser.add_argument("--long-seconds", type=float, default=8.0, help="of slow requests, stalls and streams")
    parser.add_argument("--slow-every", type=int, default=0, help="each such request has a slow answer")
    parser.add_argument("--stall-every", type=int, default=0, help="each such request's body stalls half-way")
    parser.add_argument("--job-every", type=int, default=0, help="each such request is a job; needs slide.png here")
    parser.add_argument("--streams", type=int, default=0, help="streaming answers at any time, for each target")
    parser.add_argument("--websockets", type=int, default=0, help="open at any time, for each target")
    parser.add_argument("--text", default="load", help="the reports' text, by which they are counted")
    parser.add_argument("--stop-when-cut", action="store_true", help="one failure of that sort is enough")
    return parser.parse_args()


def named(error: Exception) -> str:
    """The kind of a failure; what nobody foresaw is named by its type."""
    if isinstance(error, FailedError):
        return str(error)
    return "timeout" if isinstance(error, TimeoutError) else type(error).__name__


async def main() -> None:
    """One run."""
    say(await Load(options()).run())


if __name__ == "__main__":
    uvloop.run(main())
