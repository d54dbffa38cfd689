"""A closed loop of GETs over kept-alive connections, as cheap as Python can be: the client may not be what is slow.

    elapsed = hammer(port, [Get("/users/1", body, headers)], count=2000, connections=8)

Every answer is compared: 200 and exactly the expected body, or the run fails.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import uvloop
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

END_OF_HEAD = b"\r\n\r\n"
OK = b"HTTP/1.1 200 "
LONGEST_SECONDS = 120


class WrongAnswerError(Exception):
    """A server did not answer what it should; the message is what it said."""


@dataclass(frozen=True, kw_only=True)
class Get:
    """A request and the body that answers it."""

    path: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        lines = [f"GET {self.path} HTTP/1.1", "Host: bench", *(f"{name}: {it}" for name, it in self.headers.items())]
        return "\r\n".join([*lines, "", ""]).encode()


class _Client(asyncio.Protocol):
    """One connection: the next request goes out when the last one's answer is whole."""

    def __init__(self, requests: Iterator[tuple[bytes, bytes]]) -> None:
        self._requests = requests
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._received = b""
        self._expected = b""
        self._transport = cast("asyncio.Transport", None)

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._next()

    def _next(self) -> None:
        request, self._expected = next(self._requests, (b"", b""))
        if request:
            self._transport.write(request)
        else:
            self._end(None)

    @override
    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(END_OF_HEAD)
        if not end:
            return
        right = head.startswith(OK) and b"content-length: %d" % len(self._expected) in head
        if not right or not self._expected.startswith(body):
            self._end(WrongAnswerError(self._received.decode(errors="replace")))
        elif body == self._expected:
            self._received = b""
            self._next()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._end(WrongAnswerError(f"the connection was closed: {exc}"))
        self.lost.set_result(None)

    def _end(self, error: Exception | None) -> None:
        if not self.over.done():
            self.over.set_exception(error) if error else self.over.set_result(None)
        self._transport.close()


async def _run(port: int, gets: Sequence[Get], *, count: int, connections: int) -> float:
    loop = asyncio.get_running_loop()
    requests = itertools.islice(itertools.cycle([(get.encoded(), get.body) for get in gets]), count)
    clients = [_Client(requests) for _ in range(connections)]
    began = time.perf_counter()
    for client in clients:
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)  # type: ignore[misc] # mypy reads no lambda's default
    async with asyncio.timeout(LONGEST_SECONDS):
        ends = await asyncio.gather(*(client.over for client in clients), return_exceptions=True)
    elapsed = time.perf_counter() - began
    await asyncio.gather(*(client.lost for client in clients))
    for end in ends:
        if end is not None:
            raise end
    return elapsed


def hammer(port: int, gets: Sequence[Get], *, count: int, connections: int) -> float:
    """Send so many requests; seconds until the last answer.

    Raises:
        WrongAnswerError: one answer was not what it should be.
    """
    return uvloop.run(_run(port, gets, count=count, connections=connections))
