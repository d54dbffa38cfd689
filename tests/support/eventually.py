"""Wait for what is observed, never for time to pass."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def eventually(observe: Callable[[], T | None], *, within: float = 10.0, every: float = 0.02) -> T:
    """The first truthy observation.

    Raises:
        AssertionError: there was none in time; says what was seen last.
    """
    deadline = time.monotonic() + within
    while True:
        seen = observe()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"still {seen!r} after {within} s")
        time.sleep(every)
