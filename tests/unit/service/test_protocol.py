"""A connection's head is bounded in bytes and in seconds: uvicorn's own protocol has no bound (the controls)."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import uvicorn
from plimsoll_runtime import protocol
from plimsoll_runtime.drain import Drain
from plimsoll_runtime.health import HealthMiddleware
from plimsoll_runtime.protocol import BoundedProtocol
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from starlette.types import Receive, Scope, Send

pytestmark = pytest.mark.anyio

SOON = 0.2
HEAD = b"POST / HTTP/1.1\r\nhost: pod\r\n"


async def length_of_body(scope: Scope, receive: Receive, send: Send) -> None:
    body = await Request(scope, receive).body()
    await PlainTextResponse(f"{scope['path']} {len(body)}")(scope, receive, send)


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self) -> tuple[int, bytes]:
        """The next response's status and body."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        return int(head.split()[1]), await self._reader.readexactly(length)

    async def hung_up(self) -> bool:
        try:
            return not await self._reader.read(1)
        except ConnectionResetError:
            return True


@asynccontextmanager
async def served(
    by: type[HttpToolsProtocol] = BoundedProtocol, *, limit: int | None = None, keep_alive: int = 5
) -> AsyncIterator[Callable[[], Awaitable[Client]]]:
    drain = Drain(seconds=0)
    drain.started()
    app = HealthMiddleware(length_of_body, drain=drain, tell_metrics=False)
    config = uvicorn.Config(
        app,
        interface="asgi3",  # uvicorn's guess would be wrong: a part of ``contract.wrap`` need not be a coroutine
        http=by,
        log_config=None,
        access_log=False,
        limit_concurrency=limit,
        timeout_keep_alive=keep_alive,
    )
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: by(config, state, {}), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    writers: list[asyncio.StreamWriter] = []

    async def connect() -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writers.append(writer)
        return Client(reader, writer)

    try:
        yield connect
    finally:
        for writer in writers:
            writer.close()
        server.close()
        while state.tasks:
            await asyncio.wait(state.tasks)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", SOON)


@pytest.mark.parametrize(
    "head",
    [
        HEAD + b"x: " + b"x" * 100_000 + b"\r\n\r\n",
        HEAD + b"".join(b"x-%d: y\r\n" % n for n in range(5000)) + b"\r\n",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nhost: pod\r\n\r\n",
        HEAD + b"x: " + b"x" * 50_000 + b"\r\n\r\n",
    ],
    ids=["one header", "many headers", "target", "in one piece"],
)
async def test_a_head_that_is_too_large_is_431(head: bytes) -> None:
    async with served() as connect:
        client = await connect()
        await client.send(head)
        assert await client.answer() == (431, b'{"title":"Request Header Fields Too Large","status":431}')
        assert await client.hung_up()


async def test_a_head_that_never_ends_is_refused_where_uvicorn_would_keep_it_all() -> None:
    async def bytes_taken(by: type[HttpToolsProtocol]) -> int:
        sent = 0
        async with served(by) as connect:
            client = await connect()
            await client.send(HEAD + b"x: ")
            try:
                while sent < 8_000_000:
                    await client.send(b"x" * 10_000)
                    sent += 10_000
                    await asyncio.sleep(0)
            except ConnectionError:
                pass
        return sent

    assert await bytes_taken(BoundedProtocol) < 8_000_000
    assert await bytes_taken(HttpToolsProtocol) == 8_000_000


async def test_what_is_not_http_is_still_400() -> None:
    async with served() as connect:
        client = await connect()
        await client.send(b"\x16\x03\x01" + b"x" * 50_000)
        assert (await client.answer())[0] == 400
        assert await client.hung_up()


async def test_bodies_of_any_size_and_shape_pass_and_connections_are_kept() -> None:
    body = b"x" * 300_000
    async with served() as connect:
        client = await connect()
        for _ in range(2):
            await client.send(HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)
            assert await client.answer() == (200, b"/ 300000")
            await client.send(HEAD + b"transfer-encoding: chunked\r\n\r\n")
            for _ in range(20_000):
                await client.send(b"1\r\nx\r\n")
            await client.send(b"0\r\n\r\n")
            assert await client.answer() == (200, b"/ 20000")
        # Two heads and the body between them, in whatever pieces they come: a long piece is no long head.
        await client.send((HEAD + b"content-length: %d\r\n\r\n" % len(body) + body) * 2)
        assert [await client.answer() for _ in range(2)] == [(200, b"/ 300000")] * 2


@pytest.mark.parametrize("beside", [b"x-trailer: ", b"1;"], ids=["trailers", "chunk extension"])
async def test_what_a_chunked_body_carries_beside_its_data_is_bounded_too(beside: bytes) -> None:
    async with served() as connect:
        client = await connect()
        start = b"0\r\n" if beside.startswith(b"x") else b""
        await client.send(HEAD + b"transfer-encoding: chunked\r\n\r\n" + start + beside)
        with pytest.raises(ConnectionError):  # noqa: PT012 - it may take a few
            for _ in range(1000):
                await client.send(b"x" * 10_000)
                await asyncio.sleep(0)


@pytest.mark.usefixtures("impatient")
async def test_a_head_that_drips_is_408() -> None:
    async with served() as connect:
        client = await connect()

        async def drip() -> None:
            for byte in HEAD * 10:
                await client.send(bytes([byte]))
                await asyncio.sleep(SOON / 10)

        dripping = asyncio.create_task(drip())
        assert (await client.answer())[0] == 408
        assert await client.hung_up()
        dripping.cancel()


@pytest.mark.usefixtures("impatient")
async def test_and_without_us_it_is_waited_for() -> None:
    async with served(HttpToolsProtocol) as connect:
        client = await connect()
        for piece in (HEAD, b"content-length: 0\r\n", b"\r\n"):
            await client.send(piece)
            await asyncio.sleep(SOON)
        assert await client.answer() == (200, b"/ 0")


@pytest.mark.usefixtures("impatient")
async def test_the_time_is_the_heads_alone() -> None:
    async with served() as connect:
        client = await connect()
        for _ in range(2):
            await client.send(HEAD + b"content-length: 4\r\n\r\n12")
            await asyncio.sleep(1.5 * SOON)  # the body's time is the app's to bound
            await client.send(b"34")
            assert await client.answer() == (200, b"/ 4")
            await asyncio.sleep(1.5 * SOON)  # and an idle connection's is the keep-alive's


@pytest.mark.parametrize(("by", "closed"), [(BoundedProtocol, True), (HttpToolsProtocol, False)])
async def test_a_connection_that_says_nothing_is_closed(by: type[HttpToolsProtocol], closed: bool) -> None:
    async with served(by, keep_alive=1) as connect:
        client = await connect()
        try:
            assert await asyncio.wait_for(client.hung_up(), 2) == closed
        except TimeoutError:
            assert not closed


async def test_too_many_connections_are_503_and_probes_are_answered_all_the_same() -> None:
    async with served(limit=2) as connect:
        first = await connect()
        await first.send(b"GET / HTTP/1.1\r\nhost: pod\r\n\r\n")
        assert (await first.answer())[0] == 200
        crowd = [await connect() for _ in range(3)]
        await crowd[0].send(b"GET /healthz HTTP/1.1\r\nhost: pod\r\n\r\n")
        assert (await crowd[0].answer())[0] == 200
        await crowd[0].send(b"GET / HTTP/1.1\r\nhost: pod\r\n\r\n")
        assert (await crowd[0].answer())[0] == 503
        for probe, path in zip(crowd[1:], (b"/healthz", b"/readyz"), strict=True):
            await probe.send(b"GET %s HTTP/1.1\r\nhost: pod\r\n\r\n" % path)
            assert (await probe.answer())[0] == 200
