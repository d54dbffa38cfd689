"""Handshakes once the drain is over: a status where the server can send one, 1012 where it cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from plimsoll_runtime.drain import Drain
from plimsoll_runtime.websocket import SERVICE_RESTART, WebSocketMiddleware

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send


pytestmark = pytest.mark.anyio


async def never(_: Scope, __: Receive, ___: Send) -> None:
    pytest.fail("the app was asked")


async def handshake(*, extensions: dict[str, Any]) -> list[Message]:
    drain = Drain(seconds=0)
    drain.started()
    drain.terminate()
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/", "extensions": extensions}
    await WebSocketMiddleware(never, drain=drain)(scope, receive, send)
    return sent


async def test_it_is_refused_with_a_status_that_clients_retry() -> None:
    start, body = await handshake(extensions={"websocket.http.response": {}})
    assert (start["status"], dict(start["headers"])[b"retry-after"]) == (503, b"1")
    assert body["type"] == "websocket.http.response.body"


async def test_or_closed_as_a_restart_is() -> None:
    accept, close = await handshake(extensions={})
    assert (accept["type"], close["code"]) == ("websocket.accept", SERVICE_RESTART)
