"""The real reconcilers, led by the hand: a test lets each make one call to the API server at a time, or ends them all.

Between any two calls anything else may happen, other reconciles included; what the operator has in memory when it is
ended is lost, as in a crash.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

from plimsoll.budget.demand import Overlap
from plimsoll.errors import PlimsollError
from plimsoll_operator.reconcile import Reconciler
from plimsoll_operator.settings import Settings

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from plimsoll_operator.queue import Done, Key
    from support.memory_cluster import Call, MemoryCluster
    from support.virtual_loop import VirtualLoop

_running: ContextVar[Key] = ContextVar("running")


class Stepper:
    """One life of the operator after another, on one cluster."""

    def __init__(
        self,
        cluster: MemoryCluster,
        loop: VirtualLoop,
        *,
        clock: Callable[[], str],
        overlap: Overlap = Overlap.GUARDED,
    ) -> None:
        self._cluster = cluster
        self._loop = loop
        self._clock = clock
        self._settings = Settings(overlap=overlap)
        self._tasks: dict[Key, asyncio.Task[Done]] = {}
        self._held: dict[Key, list[tuple[Call, asyncio.Future[None]]]] = {}
        self.done: dict[Key, Done] = {}
        self.failed: dict[Key, str] = {}
        """What the last reconcile of a key that failed has said."""
        self.woken: set[Key] = set()
        cluster.gate = self._gate
        self._reconciler = self._build()

    def step(self, key: Key, calls: int = 1) -> Call | None:
        """Lets the reconcile of ``key`` make so many calls, starting it where none runs; the last call made."""
        made = None
        if key not in self._tasks:
            self._tasks[key] = self._loop.create_task(self._reconcile(key))
            self._loop.pump()
        for _ in range(calls):
            if not self._held.get(key):
                break
            made, future = self._held[key].pop(0)
            future.set_result(None)
            self._loop.pump()
        self._reap(key)
        return made

    def finish(self, key: Key) -> Done | None:
        """Lets a reconcile of ``key`` run to its end; ``None`` where it waits for another one, or failed."""
        while key in self._tasks or key not in self.done:
            if self.step(key) is None and key in self._tasks:
                return None
            if key not in self._tasks:
                break
        return self.done.pop(key, None)

    def next_call(self, key: Key) -> Call | None:
        """What the reconcile of ``key`` would do next."""
        waiting = self._held.get(key)
        return waiting[0][0] if waiting else None

    def crash(self) -> None:
        """Ends everything under way, and starts a new operator that remembers nothing."""
        for task in self._tasks.values():
            task.cancel()
        self._loop.pump()
        self._tasks.clear()
        self._held.clear()
        self.done.clear()
        self._reconciler = self._build()

    def _build(self) -> Reconciler:
        return Reconciler.build(cluster=self._cluster, settings=self._settings, wake=self.woken.add, clock=self._clock)

    async def _reconcile(self, key: Key) -> Done:
        _running.set(key)
        return await self._reconciler.reconcile(key)

    async def _gate(self, call: Call) -> None:
        future: asyncio.Future[None] = self._loop.create_future()
        self._held.setdefault(_running.get(), []).append((call, future))
        await future

    def _reap(self, key: Key) -> None:
        task = self._tasks.get(key)
        if task is None or not task.done():
            return
        del self._tasks[key]
        self._held.pop(key, None)
        try:
            self.done[key] = task.result()
        except PlimsollError as error:  # a conflict or an object that has gone: the queue would try again
            self.failed[key] = str(error)
