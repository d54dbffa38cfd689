"""The work queue between the watches and the reconciler: single flight per key, coalescing, backoff, bounded.

kopf's handlers call ``add``; ``run`` hands the keys to the reconciler. The rules:

- never two reconciles of one key at once; an ``add`` during a run causes exactly one more run after it;
- a failing key backs off exponentially with jitter; an event during the *failing run* does not shorten the wait, an
  event during the *wait* ends it;
- a key that fails never stops a worker.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

import structlog
from plimsoll.errors import PlimsollError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = structlog.get_logger(__name__)


class Kind(Enum):
    """What a key names."""

    BUDGET = "ConnectionBudget"
    SERVICE = "FastAPIService"


@dataclass(frozen=True, slots=True)
class Key:
    """One object to be looked at."""

    kind: Kind
    namespace: str
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """A reconcile that ended well; look again after that many seconds, or when something wakes the key."""

    requeue_after: float | None = None


@dataclass(slots=True)
class WorkQueue:
    """Keys that wait to be reconciled."""

    workers: int = 8
    backoff_base_seconds: float = 0.5
    backoff_cap_seconds: float = 120.0
    jitter: Callable[[], float] = random.random
    _ready: asyncio.Queue[Key] = field(default_factory=asyncio.Queue)
    _queued: dict[Key, float] = field(default_factory=dict)
    _active: set[Key] = field(default_factory=set)
    _dirty: set[Key] = field(default_factory=set)
    _failures: dict[Key, int] = field(default_factory=dict)
    _timers: dict[Key, asyncio.TimerHandle] = field(default_factory=dict)
    _idle: asyncio.Event = field(default_factory=asyncio.Event)
    _stopping: bool = False

    def __post_init__(self) -> None:
        self._idle.set()

    def __len__(self) -> int:
        return len(self._queued)

    def oldest_seconds(self) -> float:
        """How long the key that waits longest has been ready; what the liveness probe looks at."""
        if not self._queued:
            return 0.0
        return time.monotonic() - min(self._queued.values())

    def add(self, key: Key) -> None:
        """Has ``key`` reconciled as soon as a worker is free; ends a wait."""
        if timer := self._timers.pop(key, None):
            timer.cancel()
        if key in self._active:
            self._dirty.add(key)
        elif key not in self._queued:
            self._queued[key] = time.monotonic()
            self._ready.put_nowait(key)

    def add_after(self, key: Key, seconds: float) -> None:
        """Has ``key`` reconciled after a while, unless something wakes it before."""
        if timer := self._timers.pop(key, None):
            timer.cancel()
        self._timers[key] = asyncio.get_running_loop().call_later(seconds, self._fire, key)

    async def run(self, reconcile: Callable[[Key], Awaitable[Done]]) -> None:
        """Works until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self.workers):
                group.create_task(self._work(reconcile))

    async def drain(self, seconds: float) -> None:
        """Starts nothing more, and waits up to ``seconds`` for what is under way."""
        self._stopping = True
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            log.warning("stopped with reconciles under way", keys=[str(key) for key in self._active])

    def _fire(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.add(key)

    async def _work(self, reconcile: Callable[[Key], Awaitable[Done]]) -> None:
        while True:
            key = await self._ready.get()
            self._queued.pop(key, None)
            if self._stopping:
                continue
            self._active.add(key)
            self._idle.clear()
            try:
                await self._once(key, reconcile)
            finally:
                self._active.discard(key)
                if not self._active:
                    self._idle.set()

    async def _once(self, key: Key, reconcile: Callable[[Key], Awaitable[Done]]) -> None:
        try:
            done = await reconcile(key)
        except Exception as error:  # noqa: BLE001 - whatever fails, this worker goes on with the next key
            self._failed(key, error)
            return
        self._failures.pop(key, None)
        if key in self._dirty:
            self._dirty.discard(key)
            self._active.discard(key)
            self.add(key)
        elif done.requeue_after is not None:
            self.add_after(key, done.requeue_after)

    def _failed(self, key: Key, error: Exception) -> None:
        self._dirty.discard(key)
        count = self._failures[key] = self._failures.get(key, 0) + 1
        longest = min(self.backoff_cap_seconds, self.backoff_base_seconds * 2 ** min(count - 1, 30))
        seconds = longest * (0.5 + self.jitter() / 2)
        expected = isinstance(error, PlimsollError)
        log.warning(
            "reconcile failed",
            kind=key.kind.value,
            resource=f"{key.namespace}/{key.name}",
            error=str(error) or type(error).__name__,
            again_after_seconds=round(seconds, 1),
            exc_info=None if expected else error,
        )
        self.add_after(key, seconds)
