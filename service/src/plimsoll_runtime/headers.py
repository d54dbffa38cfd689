"""Headers that make browsers careful, and CORS that is off until origins are listed. ``guard(app, ...)`` adds both.

They go around the app's whole stack, its error pages included, which ``add_middleware`` would leave outside: a browser
hides an answer without CORS headers from its page, and a 500 should not look like a network that is down.

Credentials are never allowed across origins: the API takes bearer tokens, which a page sends by itself, and no cookies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.middleware.cors import CORSMiddleware

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.applications import Starlette
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
ASKED: Final = ("authorization", "content-type", "idempotency-key", "if-match", "x-request-id", "traceparent")
TOLD: Final = ("location", "retry-after", "idempotency-replayed", "etag", "x-request-id", "x-response-time-ms")

ALWAYS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)
NO_STORE: Final = (b"cache-control", b"no-store")
HSTS: Final = (b"strict-transport-security", b"max-age=31536000")
"""A year; without the subdomains, which are not ours to decide for."""


def guard(app: Starlette, *, origins: Callable[[], Sequence[str]] = tuple) -> None:
    """Add both to an app that has not served yet.

    Args:
        app: stays what it is to everyone who imports it.
        origins: asked when the app starts for the pages that may call it from a browser, such as https://app.example;
            none switches CORS off.
    """
    build = app.build_middleware_stack

    def build_guarded() -> ASGIApp:
        stack = build()
        if listed := origins():
            stack = CORSMiddleware(
                stack,
                allow_origins=listed,
                allow_methods=METHODS,
                allow_headers=ASKED,
                expose_headers=TOLD,
                allow_credentials=False,
            )
        return SecurityHeadersMiddleware(stack)

    app.build_middleware_stack = build_guarded  # type: ignore[method-assign] # Starlette's one seam outside its error middleware


class SecurityHeadersMiddleware:
    """Pure ASGI: adds what a response does not set itself.

    What was asked for with a token is for that client alone: no cache may keep it. HSTS only over HTTPS, as the proxy
    reports it: browsers ignore it elsewhere.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                have = {name for name, _ in headers}
                headers += [each for each in ALWAYS if each[0] not in have]
                if NO_STORE[0] not in have and any(name == b"authorization" for name, _ in scope["headers"]):
                    headers.append(NO_STORE)
                if scope["scheme"] == "https" and HSTS[0] not in have:
                    headers.append(HSTS)
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, send_with_headers)
