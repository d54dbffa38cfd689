"""Outgoing HTTP as a part of the trace, and under the request's own id.

The app's one client (``client``) is traced, and any other is by ``traced(AsyncClient(...))``. Each request that goes
out, redirects included, is a client span and carries ``traceparent`` and ``X-Request-ID``, so that the service behind
it writes the same ids into its own lines. A URL is recorded without its query and credentials.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from httpx2 import AsyncBaseTransport
from opentelemetry import propagate
from opentelemetry.trace import SpanKind
from typing_extensions import override

from plimsoll_runtime.correlation import CURRENT
from plimsoll_runtime.tracing import failed, span

if TYPE_CHECKING:
    from httpx2 import AsyncClient, Request, Response


def traced(client: AsyncClient) -> AsyncClient:
    """The same client, traced, with the environment's proxies: a ``transport=`` of its own would switch them off."""
    mounts = client._mounts.items()  # noqa: SLF001 - where OpenTelemetry's own instrumentation takes hold of a client
    client._mounts = {url: each and TracedTransport(each) for url, each in mounts}  # noqa: SLF001 - likewise
    client._transport = TracedTransport(client._transport)  # noqa: SLF001 - likewise
    return client


class TracedTransport(AsyncBaseTransport):
    """Another transport, traced.

    Args:
        transport: sends the requests; closed with this one.
    """

    def __init__(self, transport: AsyncBaseTransport) -> None:
        self._transport = transport

    @override
    async def handle_async_request(self, request: Request) -> Response:
        if ids := CURRENT.get():
            request.headers.setdefault("x-request-id", ids.request_id)
        url = request.url.copy_with(query=None, fragment=None, username="", password="")
        attributes: dict[str, str | int] = {
            "http.request.method": request.method,
            "url.full": str(url),
            "server.address": url.host,
            "server.port": url.port or (443 if url.scheme == "https" else 80),
        }
        with span(request.method, kind_of=SpanKind.CLIENT, attributes=attributes) as current:
            propagate.inject(request.headers)
            response = await self._transport.handle_async_request(request)
            current.set_attribute("http.response.status_code", response.status_code)
            if response.status_code >= 400:
                failed(current, str(response.status_code))
            return response

    @override
    async def aclose(self) -> None:
        await self._transport.aclose()
