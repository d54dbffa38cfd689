from __future__ import annotations

import asyncio
import signal
import threading
from typing import TYPE_CHECKING

import pytest
import uvicorn
from fastapi import FastAPI, Request, WebSocket
from plimsoll_runtime.adopt import adopt
from plimsoll_runtime.drain import EXTENSION, Drain
from plimsoll_runtime.errors import SettingsError
from starlette.testclient import TestClient, WebSocketDenialResponse

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send


@pytest.fixture
def app() -> FastAPI:
    app = FastAPI()

    @app.get("/")
    async def root(request: Request) -> str:
        drain: Drain = request.scope["extensions"][EXTENSION]
        return drain.phase.value

    @app.get("/broken")
    async def broken() -> None:
        raise ValueError

    @app.get("/leave")
    async def leave(request: Request) -> None:
        request.scope["extensions"][EXTENSION].interrupt()

    @app.websocket("/ws")
    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(await socket.receive_text())

    adopt(app)
    return app


def test_a_test_client_sees_the_app_and_the_probes(app: FastAPI) -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    for _ in range(2):  # each brings a loop of its own
        with TestClient(app) as client:
            assert client.get("/").json() == "serving"
            assert client.get("/readyz").json() == {"phase": "serving"}
            with client.websocket_connect("/ws") as socket:
                socket.send_text("hello")
                assert socket.receive_text() == "hello"
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == handlers


def test_without_a_lifespan_it_serves_too(app: FastAPI) -> None:
    assert TestClient(app).get("/").json() == "starting"


def test_error_pages_are_inside(app: FastAPI) -> None:
    client = TestClient(app, raise_server_exceptions=False)
    client.get("/leave")
    answer = client.get("/broken")
    assert (answer.status_code, answer.headers["connection"]) == (500, "close")


def test_a_handshake_is_refused_while_leaving(app: FastAPI) -> None:
    client = TestClient(app)
    client.get("/leave")
    with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect("/ws"):
        pass
    assert (refused.value.status_code, refused.value.headers["retry-after"]) == (503, "1")


@pytest.mark.anyio
async def test_where_the_server_knows_no_refusal_it_is_accepted_and_closed(app: FastAPI) -> None:
    TestClient(app).get("/leave")
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app({"type": "websocket", "path": "/ws", "headers": []}, receive, send)
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.close"]
    assert sent[1]["code"] == 1012


def test_a_wrong_environment_is_said_at_the_start(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLIMSOLL_DRAIN_SECONDS", "soon")
    with pytest.raises(SettingsError, match="PLIMSOLL_DRAIN_SECONDS"), TestClient(app):
        pass


async def start(app: FastAPI) -> None:
    """The first half of a lifespan, as uvicorn runs it: in the main thread."""
    started = asyncio.Event()

    async def receive() -> Message:
        if started.is_set():
            await asyncio.Event().wait()
        return {"type": "lifespan.startup"}

    async def send(_: Message) -> None:
        started.set()

    lifespan = asyncio.create_task(app({"type": "lifespan"}, receive, send))
    await started.wait()
    lifespan.cancel()
    await asyncio.gather(lifespan, return_exceptions=True)


@pytest.fixture
def server(app: FastAPI) -> uvicorn.Server:
    return uvicorn.Server(uvicorn.Config(app, log_config=None))


@pytest.mark.anyio
@pytest.mark.parametrize(("given", "kept"), [(None, 8), (3, 3)])
async def test_the_deadline_is_set_where_nothing_else_set_one(
    app: FastAPI, server: uvicorn.Server, monkeypatch: pytest.MonkeyPatch, given: int | None, kept: int
) -> None:
    monkeypatch.setenv("PLIMSOLL_REQUEST_DEADLINE_SECONDS", "7.5")
    server.config.timeout_graceful_shutdown = given
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGTERM, server.handle_exit)
    signal.signal(signal.SIGINT, server.handle_exit)
    try:
        assert threading.current_thread() is threading.main_thread()
        await start(app)
        assert server.config.timeout_graceful_shutdown == kept
        signal.raise_signal(signal.SIGTERM)
        assert not server.should_exit, "not in the handler itself"
        await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        assert server.should_exit, "nobody drains who was not asked to: PLIMSOLL_DRAIN_SECONDS is not set"
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGINT, before[1])


@pytest.mark.anyio
async def test_under_another_server_signals_stay(app: FastAPI) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    await start(app)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


@pytest.mark.anyio
async def test_inside_another_drain_it_steps_aside(app: FastAPI) -> None:
    seen: list[Scope] = []

    async def inner(scope: Scope, _: Receive, __: Send) -> None:
        seen.append(scope)

    other = Drain(seconds=1)
    app.middleware_stack = app.build_middleware_stack()
    app.middleware_stack._plain = inner  # type: ignore[attr-defined] # the last layer before the app

    async def nothing(*_: object) -> Message:
        return {}

    await app({"type": "http", "path": "/readyz", "headers": [], "extensions": {EXTENSION: other}}, nothing, nothing)  # type: ignore[arg-type] # both ends
    assert seen[0]["extensions"][EXTENSION] is other
