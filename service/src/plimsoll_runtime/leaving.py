"""For handlers that last: when should this one end, because the process leaves?

uvicorn tells neither a streaming response nor a WebSocket that it stops, and would cut them at the request deadline.
``websocket`` closes WebSockets by itself; an endless stream ends by iterating through ``until_leaving``::

    @app.get("/events")
    async def events(request: Request) -> StreamingResponse:
        return StreamingResponse(until_leaving(request, source()), media_type="text/event-stream")

Each connection gets a moment of its own in the second half of the drain: by then the endpoints have usually left, so
that a client that comes back at once lands on another pod; and spread, so that the clients do not come back together.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final, TypeVar

from plimsoll_runtime.drain import EXTENSION

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable

    from starlette.requests import HTTPConnection

    from plimsoll_runtime.drain import Drain

T = TypeVar("T")

FIRST: Final = 0.5
LAST: Final = 0.9
"""Which part of the drain those moments are spread over; what is left lets the last client hear of it."""


async def moment(drain: Drain) -> None:
    """Return when one connection that lasts should end."""
    await drain.told()
    await asyncio.sleep(drain.seconds_left * random.uniform(FIRST, LAST))  # noqa: S311 - spreads load, keeps no secret


async def leaving(connection: HTTPConnection) -> None:
    """Return when this request or WebSocket should end; never, under a server that has no drain."""
    drain: Drain | None = connection.scope.get("extensions", {}).get(EXTENSION)
    if drain is None:
        await asyncio.get_running_loop().create_future()
    else:
        await moment(drain)


async def until_leaving(connection: HTTPConnection, source: AsyncIterable[T]) -> AsyncGenerator[T]:
    """The source's items, until it ends or should: then the wait for its next item is cancelled, and it is closed.

    The response ends as if the source had: complete, with its last chunk. The source runs in the caller's own task,
    so it may hold task groups, timeouts and sessions across its items.
    """
    patience: asyncio.Timeout | None = None
    told = asyncio.create_task(leaving(connection))

    def stop_waiting(_: object) -> None:
        if patience is not None:
            patience.reschedule(0)

    told.add_done_callback(stop_waiting)
    items = aiter(source)
    try:
        while not told.done():
            try:
                async with asyncio.timeout(None) as patience:
                    item = await anext(items)
            except StopAsyncIteration:
                return
            except TimeoutError:
                if patience is not None and patience.expired():
                    return
                raise
            finally:
                patience = None
            yield item
    finally:
        told.cancel()
        if (close := getattr(items, "aclose", None)) is not None:
            await close()
