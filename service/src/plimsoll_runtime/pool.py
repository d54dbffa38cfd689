"""The web's connection pool, measured: what is open, what is in use, who had to wait and who went without.

Used by ``engine`` and nobody else. A pool that is read at the moment of a scrape could only tell of the process that
answers it, so each change is written down as it happens (``metrics``).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sqlalchemy import event
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import AsyncAdaptedQueuePool
from typing_extensions import override

from plimsoll_runtime import metrics

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.pool import PoolProxiedConnection


class MeasuredPool(AsyncAdaptedQueuePool):
    """SQLAlchemy's pool, which also counts those who find it exhausted."""

    @override
    def connect(self) -> PoolProxiedConnection:
        if self.checkedout() < self.size() + self._max_overflow:
            return super().connect()
        began = time.perf_counter()
        try:
            return super().connect()
        except PoolTimeoutError:
            metrics.POOL_TIMEOUTS.inc()
            raise
        finally:
            metrics.POOL_WAIT_SECONDS.observe(time.perf_counter() - began)


def measure(engine: Engine, *, limit: int) -> None:
    """Follow an engine's pool, which may open up to ``limit`` connections."""
    pool = engine.pool
    assert isinstance(pool, MeasuredPool)  # noqa: S101 - made by ``engine``
    metrics.POOL_LIMIT.set(limit)
    metrics.POOL_SIZE.set(pool.size())

    def taken(*_: object) -> None:
        metrics.POOL_IN_USE.set(pool.checkedout())
        metrics.POOL_OPEN.set(pool.checkedout() + pool.checkedin())

    def returned(*_: object) -> None:
        metrics.POOL_IN_USE.set(pool.checkedout() - 1)  # it is told just before

    event.listen(pool, "checkout", taken)
    event.listen(pool, "checkin", returned)
