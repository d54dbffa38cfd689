"""A bound on request bodies, counted while they stream in: a client's Content-Length is a claim, and optional.

An app adds it with ``app.add_middleware(BodyLimitMiddleware, max_bytes=...)``. FastAPI has a ``max_body_size`` of its
own, but answers a declared excess in plain text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plimsoll_runtime.errors import TooLargeError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyLimitMiddleware:
    """Pure ASGI: raises into whoever reads more than ``max_bytes``, before reading on."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass everything on, counting; no coroutine of its own, like ``websocket``."""
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        received = 0
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit() and int(value) > self._max_bytes:
                received = int(value)

        async def receive_and_count() -> Message:
            nonlocal received
            if received <= self._max_bytes:
                message = await receive()
                received += len(message.get("body", b""))
                if received <= self._max_bytes:
                    return message
            raise TooLargeError(f"The body is larger than {self._max_bytes} bytes.")

        return self._app(scope, receive_and_count, send)
