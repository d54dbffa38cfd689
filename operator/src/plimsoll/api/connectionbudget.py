"""ConnectionBudget: how many connections one PostgreSQL server can give, and who holds them.

Owned by the platform team, one per server. The operator fills its status; the claims in there are the ledger.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from plimsoll.api.budgetstatus import ConnectionBudgetStatus
from plimsoll.api.meta import BudgetKey, Count, Metadata, SecretKey, Wire

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
