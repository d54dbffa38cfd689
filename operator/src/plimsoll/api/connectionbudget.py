"""ConnectionBudget: how many connections one PostgreSQL server can give, and who holds them.

Owned by the platform team, one per server. The operator fills its status; the claims in there are the ledger.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from plimsoll.api.meta import BudgetKey, Condition, Count, Metadata, SecretKey, Wire

if TYPE_CHECKING:
    from collections.abc import Mapping


class NamespacesFrom(StrEnum):
    """Whose services may claim from a budget."""

    SAME = "Same"
    ALL = "All"
    SELECTOR = "Selector"


class NamespaceSelector(Wire):
    """Namespaces by their labels."""

    match_labels: Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=16)] = Field(
        default_factory=dict
    )
    """Labels that a namespace must have, all of them; kubernetes.io/metadata.name is its name."""


class AllowedNamespaces(Wire):
    """Which namespaces' services may claim from this budget; what is taken back kills nothing that runs."""

    from_: NamespacesFrom = Field(default=NamespacesFrom.SAME, alias="from")
    """Same: only services of the budget's own namespace. All: services of every namespace. Selector: services of the
    namespaces that selector names.
    """

    selector: NamespaceSelector | None = None
    """With from: Selector, the labels of the namespaces that are allowed."""


class Client(Wire):
    """Something else that connects to the server, and how much of it that takes."""

    name: Annotated[str, Field(min_length=1, max_length=63)]
    """What it is: an exporter, a backup agent, a Celery worker, an autoscaler's scaler. Connections whose
    application_name is this name, or begins with it, are explained by it.
    """

    connections: Count
    """The most connections that it opens."""


class ConnectionBudgetSpec(Wire):
    """What the platform team decides about one PostgreSQL server."""

    secret_ref: SecretKey
    """Secret with a URI of the server, for reading its limits. Any role that can connect will do; the operator needs
    the right to get this one Secret.
    """

    reserve: Count = 5
    """Connections kept for people, backups and monitors: never given to services."""

    margin: Count | None = None
    """Connections kept for what no quota can see: a pod deleted by force whose process lives on, the backend of a
    killed client that still works, two pods let in at the same moment. Left out, the dearest pod of any service that
    holds a claim, one time.
    """

    clients: Annotated[tuple[Client, ...], Field(max_length=64)] = Field(
        default=(), json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
    )
    """Other clients of the server, one line each: what they may open is not given to services."""

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

    undeclared: Count = 0
    """The most that one of its pods had open beyond what it declares; remembered for staleAfterSeconds."""

    part: str = Field(default="", max_length=63)
    """The workload of that pod."""

    undeclared_time: str | None = Field(default=None, json_schema_extra={"format": "date-time"})
    """When that was last seen."""


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
    """Other budgets that point at the same server; their claims count here too."""

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


class ConnectionBudget(Wire):
    """The connections that one PostgreSQL server can give, and the services that hold them."""

    metadata: Metadata
    spec: ConnectionBudgetSpec
    status: ConnectionBudgetStatus = Field(default_factory=ConnectionBudgetStatus)

    @property
    def key(self) -> BudgetKey:
        """Its namespace and name."""
        return BudgetKey(self.metadata.namespace, self.metadata.name)

    def admits(self, namespace: str, *, labels: Mapping[str, str]) -> bool:
        """Whether services of ``namespace``, which carries ``labels``, may claim from this budget."""
        allowed = self.spec.allowed_namespaces
        if namespace == self.metadata.namespace or allowed.from_ is NamespacesFrom.ALL:
            return True
        if allowed.from_ is NamespacesFrom.SAME or allowed.selector is None:
            return False
        wanted = allowed.selector.match_labels
        return bool(wanted) and all(labels.get(key) == value for key, value in wanted.items())
