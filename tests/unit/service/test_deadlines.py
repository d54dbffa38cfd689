from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from plimsoll_runtime.deadlines import DeadlineMiddleware
from plimsoll_runtime.drain import Drain

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

pytestmark = pytest.mark.anyio


@pytest.fixture
def drain() -> Drain:
    return Drain(seconds=5)


class Client:
    """One ASGI connection, and what it was sent."""

    def __init__(self, *received: Message) -> None:
        self._received = list(received)
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        if not self._received:
            await asyncio.Event().wait()
        return self._received.pop(0)

    async def send(self, message: Message) -> None:
        self.sent.append(message)


def serving(app: ASGIApp, *, drain: Drain, seconds: float = 5) -> DeadlineMiddleware:
    return DeadlineMiddleware(app, drain=drain, lifespan_seconds=seconds)


async def cut(app: ASGIApp, client: Client, *, when: Callable[[], Awaitable[object]]) -> asyncio.Task[None]:
    """What uvicorn does at its deadline."""

    async def call() -> None:
        await app({"type": "http", "path": "/"}, client.receive, client.send)

    task = asyncio.create_task(call())
    await when()
    task.cancel()
    await asyncio.wait({task})
    return task


async def test_a_request_without_a_response_gets_503_and_ends_well(drain: Drain) -> None:
    began, client = asyncio.Event(), Client()

    async def app(_: Scope, receive: Receive, __: Send) -> None:
        began.set()
        await receive()

    task = await cut(serving(app, drain=drain), client, when=began.wait)
    assert not task.cancelled()
    assert task.exception() is None
    assert client.sent[0]["status"] == 503
    assert {(b"retry-after", b"1"), (b"connection", b"close")} < set(client.sent[0]["headers"])
    assert drain.cut == 1


async def test_a_response_that_has_begun_is_not_passed_off_as_whole(drain: Drain) -> None:
    began, client = asyncio.Event(), Client()

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        began.set()
        await receive()

    task = await cut(serving(app, drain=drain), client, when=began.wait)
    assert task.cancelled()
    assert [message["type"] for message in client.sent] == ["http.response.start"]
    assert drain.cut == 1


async def test_an_app_that_cancels_itself_was_not_cut(drain: Drain) -> None:
    async def app(_: Scope, __: Receive, ___: Send) -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await serving(app, drain=drain)({"type": "http", "path": "/"}, Client().receive, Client().send)
    assert drain.cut == 0


STARTUP, SHUTDOWN = {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}


async def lifespan(_: Scope, receive: Receive, send: Send) -> None:
    assert await receive() == STARTUP
    await send({"type": "lifespan.startup.complete"})
    assert await receive() == SHUTDOWN
    await send({"type": "lifespan.shutdown.complete"})


async def test_a_request_that_clings_does_not_cost_the_app_its_end(drain: Drain) -> None:
    """It swallows its cancellation; half of the time is the app's all the same."""
    client, clinging, gate = Client(STARTUP, SHUTDOWN), Client(), asyncio.Event()
    began = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(scope, receive, send)
            return
        began.set()
        await gate.wait()

    served = serving(app, drain=drain, seconds=0.4)
    request = asyncio.create_task(served({"type": "websocket"}, clinging.receive, clinging.send))
    await began.wait()
    await served({"type": "lifespan"}, client.receive, client.send)
    assert client.sent[-1]["type"] == "lifespan.shutdown.complete"
    gate.set()
    await request


async def test_an_app_that_neither_closes_nor_answers_is_answered_for(drain: Drain) -> None:
    client = Client(STARTUP, SHUTDOWN)

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await asyncio.Event().wait()

    await serving(app, drain=drain, seconds=0.1)({"type": "lifespan"}, client.receive, client.send)
    assert [message["type"] for message in client.sent] == ["lifespan.startup.complete", "lifespan.shutdown.failed"]


async def test_a_start_up_is_given_up_only_until_it_is_complete(drain: Drain) -> None:
    started, client = asyncio.Event(), Client(STARTUP)

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        started.set()
        await receive()

    running = asyncio.create_task(serving(app, drain=drain)({"type": "lifespan"}, client.receive, client.send))
    await started.wait()
    drain.terminate()
    assert await asyncio.wait({running}, timeout=0.2) == (set(), {running})
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_start_up_is_given_up(drain: Drain) -> None:
    began, client = asyncio.Event(), Client(STARTUP)

    async def app(_: Scope, receive: Receive, __: Send) -> None:
        await receive()
        began.set()
        await asyncio.Event().wait()

    running = asyncio.create_task(serving(app, drain=drain)({"type": "lifespan"}, client.receive, client.send))
    await began.wait()
    drain.terminate()
    await running
    assert [message["type"] for message in client.sent] == ["lifespan.startup.failed"]
