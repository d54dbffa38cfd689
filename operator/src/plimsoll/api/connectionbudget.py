"""ConnectionBudget: how many connections one PostgreSQL server can give, and who holds them.

Owned by the platform team, one per server. The operator fills its status; the claims in there are the ledger.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from plimsoll.api.meta import Condition, Metadata, SecretKey, Wire

Count = Annotated[int, Field(ge=0, le=262143)]
"""A number of connections; PostgreSQL itself allows at most 262143."""


class NamespacesFrom(StrEnum):
    """Whose services may claim from a budget."""

    SAME = "Same"
    ALL = "All"


class AllowedNamespaces(Wire):
    """Which namespaces' services may claim from this budget."""

    from_: NamespacesFrom = Field(default=NamespacesFrom.SAME, alias="from")
    """Same: only services of the budget's own namespace. All: services of every namespace."""


class ConnectionBudgetSpec(Wire):
    """What the platform team decides about one PostgreSQL server."""

    secret_ref: SecretKey
    """Secret with a URI of the server, for reading its limits. Any role that can connect will do; the operator needs
    the right to get this one Secret.
    """

    reserve: Count = 5
    """Connections kept for people, backups and monitors: never given to services."""

    provider_reserved: Count = 0
    """Connections that a managed service keeps for itself beyond what the server's settings show (for example 15 on
    Azure Flexible Server).
    """

    max_connections: Annotated[int, Field(ge=1, le=262143)] | None = None
    """A ceiling of your own below what the server would give, for example where a pooler in front of it has a smaller
    limit.
    """

    allowed_namespaces: AllowedNamespaces = Field(default_factory=AllowedNamespaces)
    """Whose services may claim from this budget."""

    probe_interval_seconds: Annotated[int, Field(ge=5, le=3600)] = 30
    """How often the server is asked for its limits and its use."""

    stale_after_seconds: Annotated[int, Field(ge=30, le=86400)] = 600
    """How long the last reading counts when the server cannot be asked. After that nothing that runs is touched, but
    nothing may grow.
    """


class ServerStatus(Wire):
    """What the server said of itself when it was last asked."""

    version: str = Field(default="", max_length=64)
    """PostgreSQL's own version."""

    max_connections: Count = 0
    """Its setting max_connections."""

    superuser_reserved_connections: Count = 0
    """Its setting of that name."""

    reserved_connections: Count = 0
    """Its setting of that name (PostgreSQL 16 and later)."""

    role_limit: Count | None = None
    """CONNECTION LIMIT of the role that asked, where it has one."""

    database_limit: Count | None = None
    """CONNECTION LIMIT of the database, where it has one."""

    observed_time: str = Field(json_schema_extra={"format": "date-time"})
    """When it was last asked with success."""


class ClaimStatus(Wire):
    """What one service may open."""

    namespace: str = Field(max_length=63)
    """Namespace of the service."""

    name: str = Field(max_length=253)
    """Name of the service."""

    uid: str = Field(max_length=64)
    """The service's uid: a claim belongs to the object, not to its name."""

    connections: Count
    """Connections that its pods could open at worst."""

    arithmetic: str = Field(default="", max_length=1024)
    """How that number comes about."""


class ConnectionBudgetStatus(Wire):
    """What is known of the server, and the ledger."""

    observed_generation: int = -1
    """The generation of the spec that this status is about."""

    server: ServerStatus | None = None
    """The server's own limits, as last read."""

    usable: Count | None = None
    """Connections that services may claim in all."""

    arithmetic: str = Field(default="", max_length=1024)
    """How usable comes about."""

    claimed: Count | None = None
    """Sum of all claims."""

    free: Count | None = None
    """What is left to claim."""

    live: Count | None = None
    """Client connections that the server had when it was last asked, the operator's own left out."""

    peak: Count | None = None
    """The most of these ever seen."""

    load: str = Field(default="", max_length=16)
    """Claimed as a percentage of usable."""

    claims: Annotated[tuple[ClaimStatus, ...], Field(max_length=2000)] = Field(
        default=(), json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["uid"]}
    )
    """One claim per service."""

    conditions: Annotated[tuple[Condition, ...], Field(max_length=16)] = Field(
        default=(), json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
    )
    """Ready, Reconciling, Stalled."""


class ConnectionBudget(Wire):
    """The connections that one PostgreSQL server can give, and the services that hold them."""

    metadata: Metadata
    spec: ConnectionBudgetSpec
    status: ConnectionBudgetStatus = Field(default_factory=ConnectionBudgetStatus)

    def admits(self, namespace: str) -> bool:
        """Whether services of ``namespace`` may claim from this budget."""
        return self.spec.allowed_namespaces.from_ is NamespacesFrom.ALL or namespace == self.metadata.namespace
