"""The status of a ConnectionBudget: what is known of its server, the ledger, and who has what open.

Part of ``connectionbudget``; written by the operator alone.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from plimsoll.api.meta import Condition, Count, Wire


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

    system_identifier: str = Field(default="", max_length=32)
    """PostgreSQL's own identity of the database cluster; a standby and a clone share it."""

    started_time: str = Field(default="", max_length=40)
    """When the server was started, by its own clock. With the identifier above it tells whether two budgets point at
    one server.
    """

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

    per_pod: Count = 0
    """Connections that the dearest of its pods could open."""

    arithmetic: str = Field(default="", max_length=1024)
    """How that number comes about."""


class OverdraftStatus(Wire):
    """What pods of one workload open beyond what they declare."""

    part: str = Field(max_length=63)
    """The workload."""

    connections: Count
    """The most that one of its pods had open beyond what it declares; remembered for staleAfterSeconds."""

    seen_time: str = Field(json_schema_extra={"format": "date-time"})
    """When that was last seen."""


class UsageStatus(Wire):
    """What one service was seen to have open: the check on what it declares."""

    namespace: str = Field(max_length=63)
    """Namespace of the service."""

    name: str = Field(max_length=253)
    """Name of the service."""

    uid: str = Field(max_length=64)
    """The service's uid."""

    live: Count = 0
    """Connections of its pods when the server was last asked."""

    peak: Count = 0
    """The most of these ever seen."""

    overdrafts: Annotated[tuple[OverdraftStatus, ...], Field(max_length=18)] = Field(
        default=(), json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["part"]}
    )
    """Its workloads of which a pod was seen to open more than it declares."""

    @property
    def undeclared(self) -> int:
        """The most that one of its pods had open beyond what it declares."""
        return max((each.connections for each in self.overdrafts), default=0)


class StrangerStatus(Wire):
    """Connections of clients that neither a service nor a line of the budget explains."""

    application_name: str = Field(default="", max_length=63)
    """Their application_name; empty where they give none."""

    connections: Count
    """How many of them there were when the server was last asked."""


class ConnectionBudgetStatus(Wire):
    """What is known of the server, and the ledger."""

    observed_generation: int = -1
    """The generation of the spec that this status is about."""

    server: ServerStatus | None = None
    """The server's own limits, as last read."""

    capacity: Count | None = None
    """Connections that the server gives to services, before the margin."""

    arithmetic: str = Field(default="", max_length=2048)
    """How capacity comes about."""

    margin: Count | None = None
    """What is kept back of it now; see spec.margin."""

    usable: Count | None = None
    """Connections that services may claim in all: capacity less margin."""

    claimed: Count | None = None
    """Sum of all claims."""

    claimed_elsewhere: Count | None = None
    """Sum of the claims on the same server that are written in other budgets."""

    shared_with: Annotated[tuple[Annotated[str, Field(max_length=320)], ...], Field(max_length=32)] = ()
    """Other budgets that point at the same server; their claims count here too. One that is deleted is named for as
    long as something connects to it.
    """

    free: Count | None = None
    """What is left to claim."""

    live: Count | None = None
    """Client connections that the server had when it was last asked, the operator's own left out."""

    peak: Count | None = None
    """The most of these ever seen."""

    unexplained: Count | None = None
    """Of the live ones, those that neither a service nor a line of the budget explains."""

    strangers: Annotated[tuple[StrangerStatus, ...], Field(max_length=10)] = ()
    """Who these are, by application_name; the ten largest."""

    usage: Annotated[tuple[UsageStatus, ...], Field(max_length=2000)] = Field(
        default=(), json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["uid"]}
    )
    """What each service was seen to have open."""

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
