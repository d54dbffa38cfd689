"""What the tests of this folder share."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING

import pytest
import structlog
from plimsoll_runtime import logs

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What the process would write to stdout."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    logs.configure()
    structlog.configure(cache_logger_on_first_use=False)  # other tests' capture_logs would not reach a cached one
    out = io.StringIO()
    handler = root.handlers[0]
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(out)
    yield out
    root.handlers[:], root.level = before
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
