"""A bound on request bodies, counted while they stream in: a client's Content-Length is a claim, and optional.

An app adds it with ``app.add_middleware(BodyLimitMiddleware, max_bytes=...)``. FastAPI has a ``max_body_size`` of its
own, but answers a declared excess in plain text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from plimsoll_runtime.errors import TooLargeError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyLimitMiddleware:
    """Pure ASGI: raises into whoever reads more than ``max_bytes``, before reading on."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, counting."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        received = int(declared) if declared.isdecimal() and int(declared) > self._max_bytes else 0

        async def receive_and_count() -> Message:
            nonlocal received
            if received <= self._max_bytes:
                message = await receive()
                received += len(message.get("body", b""))
                if received <= self._max_bytes:
                    return message
            raise TooLargeError(f"The body is larger than {self._max_bytes} bytes.")

        await self._app(scope, receive_and_count, send)
