"""What every connection says to libpq beside its URL: the web's pool, the workers and the migrations alike.

Apart from ``engine``, so that workers need not import SQLAlchemy.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from plimsoll_runtime.timeouts import CLIENT_CHECK_SECONDS, Timeouts

if TYPE_CHECKING:
    from plimsoll_runtime.settings import Settings

CONNECT_TIMEOUT_SECONDS: Final = 5

_REFUSALS: Final = (
    "unsupported startup parameter",
    "unrecognized configuration parameter",
    "invalid value for parameter",
)


def connect_arguments(settings: Settings, *, bounded: bool = True) -> dict[str, Any]:
    """Keyword arguments to ``psycopg.connect``.

    The application name is the pod's, by which the operator counts us. The keepalives and the user timeout end a
    half-open connection within seconds: a node that vanished sends no RST.

    Args:
        settings: the contract.
        bounded: whether statements and idle transactions end in time; a migration's may take as long as they take.
    """
    return {
        "application_name": settings.pgappname,
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
    } | _options(settings, bounded=bounded)


def _options(settings: Settings, *, bounded: bool) -> dict[str, str]:
    """Server settings from the first statement on, without a round trip; the URL's own options, or PGOPTIONS, win."""
    if not settings.plimsoll_server_timeouts:
        return {}
    seconds = {"client_connection_check_interval": float(CLIENT_CHECK_SECONDS)}
    if bounded:
        timeouts = Timeouts.of(settings)
        seconds |= {
            "statement_timeout": timeouts.statement,
            "idle_in_transaction_session_timeout": timeouts.idle_in_transaction,
        }
    ours = [f"-c {name}={max(1, round(each * 1000))}" for name, each in seconds.items()]
    theirs = settings.database_url.options or os.environ.get("PGOPTIONS", "")
    return {"options": " ".join([*ours, theirs]).strip()}


def advice(error: BaseException) -> str | None:
    """What to do about a server or pooler that refuses those settings; none for any other error."""
    if not any(refusal in str(error) for refusal in _REFUSALS):
        return None
    return (
        "the server refuses a timeout that we ask for when we connect: PostgreSQL before 14, or a pooler; "
        "set PLIMSOLL_SERVER_TIMEOUTS=false, and the timeouts for the role: ALTER ROLE … SET statement_timeout = …"
    )
