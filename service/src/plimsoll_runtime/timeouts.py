"""How long each part of a request may wait: the whole relation in one place.

    pool and connect < statement < request deadline ≤ idle in transaction

Each inner wait ends before the one around it, so that a client hears the more telling answer: an exhausted pool is a
503 with Retry-After long before the request's own deadline, and a statement that hangs is cancelled by the server, its
connection still good, before the handler is. Last comes what nobody in the process can end any more: a transaction
whose client froze holds its locks for no longer than a request may last.

``engine`` and ``client`` take theirs from here, and ``connecting`` tells the server its part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from plimsoll_runtime.settings import Settings

CLIENT_CHECK_SECONDS: Final = 5
"""How often the server looks, during a statement, whether its client is still there (PostgreSQL 14 and later)."""


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """All of them, in seconds."""

    request: float
    """How long a handler may take: PLIMSOLL_REQUEST_DEADLINE_SECONDS (``limits``)."""
    statement: float
    """How long the server works on one statement."""
    pool: float
    """How long a request waits for a connection of the pool."""
    connect: float
    """How long a new connection to an upstream may take, and waiting for a free one (``client``)."""
    upstream: float
    """How long an upstream may be silent (``client``)."""
    idle_in_transaction: float
    """How long the server keeps a transaction whose client says nothing."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Those that follow from the request deadline."""
        deadline = settings.plimsoll_request_deadline_seconds
        return cls(
            request=deadline,
            statement=deadline * 3 / 4,
            pool=min(5.0, deadline / 3),
            connect=min(3.0, deadline / 4),
            upstream=min(10.0, deadline / 2),
            idle_in_transaction=deadline,
        )
