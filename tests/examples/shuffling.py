"""A random order of tests that a seed repeats."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

T = TypeVar("T", bound="pytest.Item")


def shuffled(items: Sequence[T], *, seed: str) -> list[T]:
    """First by name, so that the order depends on the seed alone and not on who else was collected."""
    by_name = sorted(items, key=lambda item: item.nodeid)
    random.Random(seed).shuffle(by_name)  # noqa: S311 - an order, not a secret
    return by_name
