"""One client's connection: uvicorn's own protocol with a bound on the head of a request, in bytes and in seconds.

Used by ``server`` in place of ``http="httptools"``. uvicorn 0.54 has neither bound with httptools: a header that never
ends is kept in memory for as long as it comes, and a client that sends a byte now and then, or nothing at all, keeps
its connection for ever. Here the first is a 431, the second a 408; a connection that says nothing is closed like an
idle one. What follows the head is bounded by the app (``limits``), except for what a chunked body carries beside its
data, which counts like a head.

uvicorn's ``limit_concurrency`` is the bound on connections; probes are exempt from it here: a pod full of clients is
alive.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from plimsoll_runtime.health import PROBES

if TYPE_CHECKING:
    import asyncio

    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

HEAD_BYTES: Final = 32 * 1024
"""The longest head of a request: its target and all its headers. Proxies allow 8 to 60 KiB."""

HEAD_SECONDS: Final = 15.0
"""The longest time from a request's first byte to the end of its head."""

_PROBES: Final = frozenset(path.encode() for path in PROBES)


class HeadTooLargeError(Exception):
    """Raised through the parser, which then takes nothing more."""


class BoundedProtocol(HttpToolsProtocol):
    """As above. In its usual case, a head that comes in one piece, it costs an addition and two comparisons."""

    def __init__(self, *arguments: Any, **more: Any) -> None:  # noqa: ANN401 - whatever uvicorn gives
        super().__init__(*arguments, **more)
        self._received = 0
        """Bytes since the last head ended or the last piece of a body came, whichever was later."""
        self._patience: asyncio.TimerHandle | None = None
        self._too_large = False

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._head_ended()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        super().data_received(data)
        if not self._received:
            return
        if self._received > HEAD_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif self._patience is None and not self._answering():
            self._patience = self.loop.call_later(HEAD_SECONDS, self._refuse, HTTPStatus.REQUEST_TIMEOUT)

    @override
    def on_headers_complete(self) -> None:
        if self._received > HEAD_BYTES and self._head_bytes() > HEAD_BYTES:
            self._too_large = True
            raise HeadTooLargeError
        self._head_ended()
        self.limit_concurrency = None if self.url in _PROBES else self.config.limit_concurrency
        super().on_headers_complete()

    @override
    def on_body(self, body: bytes) -> None:
        self._received = 0
        super().on_body(body)

    @override
    def send_400_response(self, msg: str) -> None:
        """What the parser does not take; with it also what we made it refuse."""
        if self._too_large:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        else:
            self._head_ended()
            super().send_400_response(msg)

    def _answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _head_ended(self) -> None:
        self._received = 0
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _refuse(self, status: HTTPStatus) -> None:
        """Say it, unless we are in the middle of an answer, and hang up."""
        self._head_ended()
        if self.transport.is_closing():
            return
        if not self._answering():
            body = b'{"title":"%s","status":%d}' % (status.phrase.encode(), status)
            self.transport.write(
                b"HTTP/1.1 %d %s\r\ncontent-type: application/problem+json\r\ncontent-length: %d\r\n"
                b"connection: close\r\n\r\n%s" % (status, status.phrase.encode(), len(body), body)
            )
        self.transport.close()
