"""How many requests a client may make: a token bucket each, in this process' memory.

``RateLimitMiddleware`` takes one from the bucket of the client's address, before anything else is done for the request;
``RateLimit.check`` is for what else should have a bucket, such as a user whose token has been verified. Who has used up
theirs gets a 429 that says when to come back.

Each process counts for itself, since asking a shared counter would cost every request a round trip: a client that
meets P pods of W processes may make up to P × W times as many. Behind a proxy the address is the proxy's, unless
FORWARDED_ALLOW_IPS names it.

A bucket is one number: the time at which it will be full again (GCRA). Full buckets need not be remembered, so two
generations of them are kept, each for as long as an empty bucket takes to fill. A generation with too many clients ends
early, which forgets, and thereby lets through, rather than grow or refuse.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final

from plimsoll_runtime.errors import TooManyRequestsError
from plimsoll_runtime.problems import problem

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from starlette.types import ASGIApp, Receive, Scope, Send

MAX_CLIENTS: Final = 50_000
"""Buckets in a generation: some 10 MB in all."""


class RateLimit:
    """Buckets of one size.

    Args:
        per_second: how fast a bucket fills.
        burst: how many requests a full one holds.
        max_clients: as MAX_CLIENTS.
        clock: monotonic seconds.

    Raises:
        ValueError: a bucket that holds or gets nothing.
    """

    def __init__(
        self,
        *,
        per_second: float,
        burst: int,
        max_clients: int = MAX_CLIENTS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if per_second <= 0 or burst < 1:
            raise ValueError(f"a bucket must hold and get something: {burst=}, {per_second=}")
        self._interval = 1 / per_second
        self._fill = burst / per_second
        self._max_clients = max_clients
        self._clock = clock
        self._now: dict[Hashable, float] = {}
        self._before: dict[Hashable, float] = {}
        self._ends = clock() + self._fill

    def __len__(self) -> int:
        """How many buckets are remembered."""
        return len(self._now) + len(self._before)

    def take(self, key: Hashable) -> float:
        """Take one from a client's bucket; returns how many seconds to wait where there is none, else 0."""
        now = self._clock()
        if now >= self._ends or len(self._now) >= self._max_clients:
            self._before = self._now if now < self._ends + self._fill else {}
            self._now = {}
            self._ends = now + self._fill
        full = self._now.get(key) or self._before.get(key, 0.0)
        full = max(full, now) + self._interval
        if (wait := full - now - self._fill) > 1e-9:
            return wait
        self._now[key] = full
        return 0.0

    def check(self, key: Hashable) -> None:
        """As ``take``.

        Raises:
            TooManyRequestsError: there was none.
        """
        if wait := self.take(key):
            raise TooManyRequestsError(headers={"retry-after": str(math.ceil(wait))})


class RateLimitMiddleware:
    """Pure ASGI: one bucket per client address; addresses of IPv6 count by their /64, which one client may fill."""

    def __init__(self, app: ASGIApp, *, limit: RateLimit) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or refuse one request."""
        if scope["type"] == "http":
            try:
                self._limit.check(client_of(scope))
            except TooManyRequestsError as error:
                await problem(error.status_code, error.detail, headers=error.headers)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def client_of(scope: Scope) -> str:
    """Whose bucket: the address without its port."""
    client = scope.get("client")
    host: str = client[0] if client else ""
    return _network(host) if ":" in host else host


def _network(host: str) -> str:
    import ipaddress  # noqa: PLC0415 - only where clients come by IPv6

    try:
        address = ipaddress.IPv6Address(host)
    except ValueError:
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))
