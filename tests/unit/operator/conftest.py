from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import structlog
from support.operated import Operated

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def operated() -> Operated:
    return Operated()


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield
