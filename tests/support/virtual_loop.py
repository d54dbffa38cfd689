"""An event loop without a clock and without sockets: time is a number that jumps to the next timer.

Nothing ever sleeps, so a test of minutes of backoff takes microseconds and always goes the same way.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

T = TypeVar("T")


class _Selector:
    """In the place of ``select``: where the loop would sleep, its time moves on."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("everything waits for something that nobody will do")
        if timeout > 0:
            self._loop.now = self._loop.wake_time()
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """The loop; ``now`` is its time in seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._selector = _Selector(self)

    def time(self) -> float:
        return self.now

    def wake_time(self) -> float:
        """When the next timer is due."""
        return float(self._scheduled[0].when())  # type: ignore[attr-defined]  # the base class's own heap

    def pump(self) -> None:
        """Runs whatever can run without time going by."""
        while self._ready:  # type: ignore[attr-defined]  # the base class's own queue
            self.stop()
            self.run_forever()

    def _process_events(self, event_list: Any) -> None:
        """There are no sockets, hence no events."""

    def _write_to_self(self) -> None:
        """Nobody calls from another thread."""


@contextmanager
def virtual_loop() -> Iterator[VirtualLoop]:
    """A loop that is closed at the end."""
    loop = VirtualLoop()
    try:
        yield loop
    finally:
        loop.close()


def run(main: Callable[[VirtualLoop], Awaitable[T]]) -> T:
    """Runs ``main`` on a loop of its own."""
    with virtual_loop() as loop:

        async def wrapped() -> T:
            return await main(loop)

        return loop.run_until_complete(wrapped())
