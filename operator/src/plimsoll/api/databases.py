"""The databases of a FastAPIService: which server each is on, and how large the pools are that connect to it.

Part of ``fastapiservice``; a pool belongs to one process and one database.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from plimsoll.api.meta import DnsLabel, ObjectName, SecretKey, Wire

LARGEST_POOL: Final = 10000


class Pool(Wire):
    """The connection pool of one web process."""

    size: Annotated[int, Field(ge=1, le=LARGEST_POOL)] = 5
    """Connections that the pool keeps; given as DB_POOL_SIZE."""

    min_size: Annotated[int, Field(ge=1, le=LARGEST_POOL)] | None = None
    """With whenOver: ShrinkPool, the smallest pool that is still worth running: one that is too small makes requests
    wait for connections, which is an outage of its own kind. Left out: half of size, rounded up.
    """

    max_overflow: Annotated[int, Field(ge=0, le=LARGEST_POOL)] = 0
    """Connections that the pool opens beyond its size under load; given as DB_MAX_OVERFLOW. They count too."""


class BudgetRef(Wire):
    """The budget that the service claims from."""

    name: ObjectName
    """Name of the ConnectionBudget."""

    namespace: Annotated[DnsLabel, Field()] | None = None
    """Its namespace; left out, the service's own. The budget must allow it."""


class Database(Wire):
    """Which server, and how many connections each process may open to it."""

    budget_ref: BudgetRef
    """The ConnectionBudget of the PostgreSQL server that this service connects to."""

    secret_ref: SecretKey
    """Secret with the service's own URI of that server; given to the pods as DATABASE_URL."""

    pool: Pool = Field(default_factory=Pool)
    """The pool of each web process."""

    extra_per_process: Annotated[int, Field(ge=0, le=1000)] = 0
    """Connections that a web process opens outside its pool: a LISTEN, an advisory lock, a second engine."""


class AdditionalDatabase(Wire):
    """A further database that the same processes connect to, with a budget of its own."""

    name: Annotated[DnsLabel, Field(max_length=20)]
    """Name of it, unique in the service. In capitals, with underscores, it begins the names of its environment
    variables: orders gives ORDERS_DATABASE_URL, ORDERS_DB_POOL_SIZE and ORDERS_DB_MAX_OVERFLOW.
    """

    budget_ref: BudgetRef
    """The ConnectionBudget of its PostgreSQL server."""

    secret_ref: SecretKey
    """Secret with the service's own URI of it."""

    pool_size: Annotated[int, Field(ge=1, le=LARGEST_POOL)] = 5
    """Connections that the pool of each web process keeps to it."""

    max_overflow: Annotated[int, Field(ge=0, le=LARGEST_POOL)] = 0
    """Connections that this pool opens beyond its size under load."""

    job_connections_per_process: Annotated[int, Field(ge=0, le=1000)] = 0
    """The most connections that each process of the job workers opens to it; where there are some, given to them as its
    DB_POOL_SIZE.
    """
