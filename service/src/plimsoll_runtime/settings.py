"""The environment, read once and frozen: the operator writes it, everything in the process reads it from here.

A wrong environment is one sentence on stderr and exit code 2, before anything is opened; the sentence never repeats a
value, since the value may hold a password. Tests build ``Settings(database_url=..., ...)`` in memory. On a laptop a
``.env`` file in the working directory may stand in for the operator, where PLIMSOLL_DEV=1 asks for it.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Self, TypeAlias

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from plimsoll_runtime.errors import SettingsError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

SCHEMES = ("postgresql://", "postgres://", "postgresql+psycopg://")
DAY = 86400
SPARE_THREADS = 8
"""Threads beyond one for each connection, for sync code that needs none (``threads``)."""

UNREADABLE = "is not a URL that libpq can read (special characters in a password must be percent-encoded)"


class DatabaseUrl:
    """A PostgreSQL URL that cannot be printed by accident.

    libpq itself parses it, for the web's pool, the workers and the migrations alike, so that no two readings differ.
    """

    __slots__ = ("_parts", "_uri")

    def __init__(self, text: str) -> None:
        scheme = next((scheme for scheme in SCHEMES if text.startswith(scheme)), None)
        if scheme is None:
            raise ValueError("is not a URL of the form postgresql://user:password@host:5432/database")
        self._uri = f"postgresql://{text.removeprefix(scheme)}"
        try:
            self._parts = conninfo_to_dict(self._uri)
        except ProgrammingError:
            raise ValueError(UNREADABLE) from None
        # A password with a bare slash or @ ends up in host, port or database, which may be printed: refused here.
        host, port, database = (str(self._parts.get(part) or "") for part in ("host", "port", "dbname"))
        if not re.fullmatch(r"[\d,]*", port) or "@" in host + database:
            raise ValueError(UNREADABLE)

    def reveal(self) -> str:
        """The whole URL, for libpq only."""
        return self._uri

    @property
    def where(self) -> str:
        """What may be said of it in a log: host, port, database."""
        host, port = self._parts.get("host") or "localhost", self._parts.get("port") or 5432
        return f"{host}:{port}/{self._parts.get('dbname') or ''}"

    @property
    def options(self) -> str:
        """Server settings that the URL itself asks for (``?options=-csearch_path%3Dapp``)."""
        return str(self._parts.get("options") or "")

    def __repr__(self) -> str:
        return f"DatabaseUrl(***@{self.where})"


def _database_url(value: object) -> object:
    return DatabaseUrl(value) if isinstance(value, str) else value


def _listed(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Origin: TypeAlias = Annotated[str, Field(pattern=r"^https?://[a-z0-9.-]+(:\d{1,5})?$")]
"""By name: a * is not one."""


class Environment(BaseSettings):
    """What every class of settings has in common: read once, frozen, its errors in one sentence."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", arbitrary_types_allowed=True, hide_input_in_errors=True
    )

    @classmethod
    def load(cls) -> Self:
        """Read the environment, and ``.env`` for what is not in it where PLIMSOLL_DEV=1.

        Raises:
            SettingsError: it is wrong; one sentence names every variable that is.
        """
        try:
            return cls(_env_file=".env" if os.environ.get("PLIMSOLL_DEV") == "1" else None)
        except ValidationError as error:
            raise SettingsError("; ".join(_sentence(one) for one in error.errors(include_url=False))) from None


class ShutdownSettings(Environment):
    """The part of the contract that says how to leave, and what to notice until then; all that ``adopt`` reads."""

    plimsoll_drain_seconds: Annotated[float, Field(ge=0, le=DAY)] = 5
    """How long to go on accepting after SIGTERM; 0 switches the drain off."""

    plimsoll_request_deadline_seconds: Annotated[float, Field(gt=0, le=DAY)] = 20
    """How long a request may take to begin its response, and those in flight to finish once the drain is over."""

    plimsoll_lifespan_seconds: Annotated[float, Field(gt=0, le=DAY)] = 5
    """How long the app may take to close what it opened, and a worker to hand back what it could not finish."""

    plimsoll_stall_seconds: Annotated[float, Field(ge=0, le=DAY)] = 0.25
    """How long a handler may block the event loop before it is named in log and metrics; 0 switches the watch off."""


class Settings(ShutdownSettings):
    """The contract. Names are the environment's own, in lower case."""

    database_url: Annotated[DatabaseUrl, NoDecode, BeforeValidator(_database_url)]
    """Where PostgreSQL is, and as whom to go there."""

    db_pool_size: Annotated[int, Field(ge=1)] = 5
    """Web: connections that a process keeps. Worker: all that a process opens, its listening one included."""

    db_max_overflow: Annotated[int, Field(ge=0)] = 0
    """Web: connections that a process may open beyond its pool, and closes again."""

    plimsoll_threads: Annotated[int | None, Field(ge=1, le=1000)] = None
    """Web: threads for sync code; where it is not set, one for each connection and 8 more."""

    web_concurrency: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes in this pod, web or workers."""

    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """Where the web process listens; 0 lets the kernel choose."""

    plimsoll_metrics_port: Annotated[int, Field(ge=0, le=65535)] = 0
    """Where Prometheus is answered. 0: beside the app, at /metrics; for a worker, which has no port: nowhere."""

    pgappname: str = "plimsoll"
    """The pod's name: what pg_stat_activity calls our connections, so that the operator can count them."""

    plimsoll_server_timeouts: bool = True
    """Whether connections ask the server for their timeouts (``timeouts``); false behind a pooler that refuses it."""

    plimsoll_max_connections: Annotated[int, Field(ge=1)] = 4096
    """Web: clients' connections to one process; who comes beyond gets 503 at once. Probes are always answered."""

    plimsoll_root_path: Annotated[str, Field(pattern=r"^(/[A-Za-z0-9._~-]+)*$")] = ""
    """Web: the path prefix that a proxy has cut off, such as /captions."""

    plimsoll_cors_origins: Annotated[tuple[Origin, ...], NoDecode, BeforeValidator(_listed)] = ()
    """Web: pages that may call us from a browser, as https://app.example, separated by commas; none unless listed."""

    plimsoll_rate_per_second: Annotated[float, Field(ge=0)] = 0
    """Web: requests that one client address may make, per process and on average; 0 is no limit."""

    plimsoll_rate_burst: Annotated[int, Field(ge=1)] = 50
    """Web: how many of these at once."""

    plimsoll_idempotency_seconds: Annotated[float, Field(gt=0)] = DAY
    """Web: how long the answer to a POST with an Idempotency-Key is kept."""

    plimsoll_job_deadline_seconds: Annotated[float, Field(ge=0, le=DAY)] = 30
    """How long a worker goes on with the steps in its hands after SIGTERM, before it hands them back."""

    plimsoll_job_lease_seconds: Annotated[float, Field(gt=0)] = 8
    """How long a step stays with a worker that has fallen silent."""

    plimsoll_job_poll_seconds: Annotated[float, Field(gt=0)] = 1
    """How often a worker looks for work that no notification told it of, and for leases that have run out."""

    plimsoll_job_concurrency: Annotated[int, Field(ge=1)] = 1
    """Steps that one worker process runs at a time."""

    @property
    def threads(self) -> int:
        """How many threads sync code may use at a time (``threads`` says why so many)."""
        return self.plimsoll_threads or self.db_pool_size + self.db_max_overflow + SPARE_THREADS


def _sentence(error: ErrorDetails) -> str:
    name = "_".join(str(part) for part in error["loc"]).upper()
    if error["type"] == "missing":
        example = " (it looks like postgresql://user:password@host:5432/database)" if name == "DATABASE_URL" else ""
        return f"{name} is not set{example}"
    return f"{name} {error['msg'].removeprefix('Value error, ').removeprefix('Input ')}".lstrip()


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The process's settings; as a FastAPI dependency it can be overridden."""
    return Settings.load()
