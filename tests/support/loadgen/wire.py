"""HTTP/1.1 over raw sockets, since client libraries quietly retry what died on a kept-alive connection. How they fail:

    connect refused · connect reset · connect timeout · connect error E…  no connection
    closed · reset · truncated · timeout                                  no (whole) answer
    status NNN · wrong answer                                             an answer, but not the right one

Kinds that show a server leaving under its clients are in CUT; the rest may come from a machine that is too slow.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CUT = {"connect refused", "connect reset", "closed", "reset", "truncated"}
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class FailedError(Exception):
    """The request failed; the message is its kind."""


@dataclass(frozen=True)
class Target:
    """Where requests go."""

    name: str
    host: str
    address: str
    port: int

    @classmethod
    def of(cls, text: str) -> Target:
        """From ``NAME=HOST:PORT``; the name is looked up once, or an outage of the DNS would look like one of ours."""
        name, _, where = text.partition("=")
        host, _, port = where.partition(":")
        return cls(name, host, socket.gethostbyname(host), int(port or 80))


@dataclass(frozen=True)
class Answer:
    """Status, headers in lower case, body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def closes(self) -> bool:
        """Whether the server ends the connection after it."""
        return self.headers.get("connection", "").lower() == "close"


async def connect(target: Target, *, seconds: float) -> Connection:
    """A new connection."""
    try:
        async with asyncio.timeout(seconds):
            return await asyncio.open_connection(target.address, target.port)
    except ConnectionRefusedError:
        raise FailedError("connect refused") from None
    except ConnectionResetError:
        raise FailedError("connect reset") from None
    except TimeoutError:
        raise FailedError("connect timeout") from None
    except OSError as error:
        raise FailedError(f"connect error {errno.errorcode.get(error.errno or 0, error)}") from None


@asynccontextmanager
async def fresh(target: Target, *, seconds: float) -> AsyncIterator[Connection]:
    """A connection of its own, closed at the end."""
    connection = await connect(target, seconds=seconds)
    try:
        with resets():
            yield connection
    finally:
        connection[1].close()


class resets:  # noqa: N801 - used as a statement
    """Names what a peer does that goes away without a word."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, (ConnectionResetError, BrokenPipeError)):
            raise FailedError("reset") from None


def head(method: str, path: str, target: Target, *, length: int | None = None, **headers: str) -> bytes:
    """The head of a request; underscores in the names of headers stand for hyphens."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {target.host}"]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


async def read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """Status and headers of an answer."""
    try:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    except asyncio.IncompleteReadError as error:
        raise FailedError("truncated" if error.partial else "closed") from None
    pairs = (line.partition(":") for line in lines[1:] if line)
    return int(lines[0].split(" ")[1]), {name.strip().lower(): value.strip() for name, _, value in pairs}


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """A whole answer with a Content-Length."""
    status, headers = await read_head(reader)
    return Answer(status, headers, await read_exactly(reader, int(headers.get("content-length", "0"))))


async def read_exactly(reader: asyncio.StreamReader, count: int) -> bytes:
    """So many bytes of a body."""
    try:
        return await reader.readexactly(count)
    except asyncio.IncompleteReadError:
        raise FailedError("truncated") from None
