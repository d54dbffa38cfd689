"""What every connection says to libpq beside its URL: the web's pool, the workers and the migrations alike.

Apart from ``engine``, so that workers need not import SQLAlchemy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from plimsoll_runtime.settings import Settings

CONNECT_TIMEOUT_SECONDS: Final = 5


def connect_arguments(settings: Settings) -> dict[str, Any]:
    """Keyword arguments to ``psycopg.connect``.

    The application name is the pod's, by which the operator counts us. The keepalives and the user timeout end a
    half-open connection within seconds: a node that vanished sends no RST.
    """
    return {
        "application_name": settings.pgappname,
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
    }
