"""The web process's one HTTP client: opened by the app's lifespan, used by every request, closed at the end.

A client of its own for each request would read the CA bundle and shake hands each time (``tests/bench/lifespan.py``
measures it). This one keeps its connections, gives up in good time before the request does, and never opens more
connections than its limit: who waits longer for a free one gets ``httpx2.PoolTimeout``. What it asks is part of the
request's trace (``outgoing``).

It does not try again by itself: whether a request may be repeated is known only to who makes it.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import httpx2

from plimsoll_runtime.outgoing import traced
from plimsoll_runtime.timeouts import Timeouts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from plimsoll_runtime.settings import Settings

LIMITS: Final = httpx2.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=30)
"""Idle connections go before the usual proxies would close them under our hands (60 s)."""


@asynccontextmanager
async def open_client(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """The client, from the app's start to its end. Redirects are not followed: an upstream may not choose our next."""
    timeouts = Timeouts.of(settings)
    client = httpx2.AsyncClient(
        timeout=httpx2.Timeout(timeouts.upstream, connect=timeouts.connect, pool=timeouts.connect),
        limits=LIMITS,
        follow_redirects=False,
    )
    async with traced(client):
        yield client
