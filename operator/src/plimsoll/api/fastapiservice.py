"""FastAPIService: one application, its web pods, its groups of job workers, and the connections that each may open.

Owned by the app team. Every default here is the default of the API: the CRD is generated from this file.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from plimsoll.api.databases import AdditionalDatabase, BudgetRef, Database
from plimsoll.api.environment import EnvFrom, EnvVar
from plimsoll.api.meta import BudgetKey, Condition, Metadata, Wire
from plimsoll.api.pods import PodSettings
from plimsoll.api.workloads import Argv, JobGroup, Web

RESERVED_ENV: Final = (
    "DATABASE_URL",
    "DB_MAX_OVERFLOW",
    "DB_POOL_SIZE",
    "PGAPPNAME",
    "PLIMSOLL_DRAIN_SECONDS",
    "PLIMSOLL_JOB_DEADLINE_SECONDS",
    "PLIMSOLL_LIFESPAN_SECONDS",
    "PLIMSOLL_REQUEST_DEADLINE_SECONDS",
    "PORT",
    "WEB_CONCURRENCY",
)
"""Names that carry the contract between operator and process: a service that set them would break its own claim."""

Seconds = Annotated[int, Field(ge=0, le=86400)]
Deadline = Annotated[int, Field(ge=1, le=86400)]


class PullPolicy(StrEnum):
    """When the kubelet pulls an image."""

    ALWAYS = "Always"
    IF_NOT_PRESENT = "IfNotPresent"
    NEVER = "Never"


class WhenOver(StrEnum):
    """What becomes of a service that does not fit into its budget."""

    REFUSE = "Refuse"
    SHRINK_POOL = "ShrinkPool"


class Migrations(Wire):
    """A command that brings the database's schema up to the image, before its pods roll out."""

    command: Annotated[Argv, Field(min_length=1)]
    """Command of the migration, run in the service's image in place of its default command (CMD)."""

    connections: Annotated[int, Field(ge=1, le=100)] = 1
    """The most connections that it opens."""

    timeout_seconds: Annotated[int, Field(ge=1, le=86400)] = 300
    """How long one try may take; there are four."""


class Shutdown(Wire):
    """The deadlines of a pod's end. The operator adds them up to terminationGracePeriodSeconds, at most 1 or 6 h."""

    pre_stop_seconds: Seconds = 0
    """Sleep before SIGTERM, for images that do not drain by themselves; the drain, if there is one, comes after it."""

    drain_seconds: Seconds = 5
    """How long a process told to stop goes on accepting, answering with Connection: close, until the endpoints have
    left. 0 switches the drain off.
    """

    request_deadline_seconds: Deadline = 20
    """How long requests under way may still take after that."""

    job_deadline_seconds: Seconds = 30
    """How long jobs under way may still take; the rest is handed back."""

    lifespan_seconds: Deadline = 5
    """How long closing pools and flushing telemetry may take."""


class Rollout(Wire):
    """How new pods replace old ones."""

    max_surge: Annotated[int, Field(ge=0, le=1000)] = 1
    """Pods above replicas while rolling out. They open connections too."""

    max_unavailable: Annotated[int, Field(ge=0, le=1000)] = 0
    """Pods below replicas while rolling out."""

    min_ready_seconds: Annotated[int, Field(ge=0, le=3600)] = 0
    """How long a new pod must be ready before it counts as available and the next one is replaced."""


class FastAPIServiceSpec(Wire):
    """What the app team wants to run."""

    image: Annotated[str, Field(min_length=1, max_length=1024)]
    """Image of web pods, job workers and migrations."""

    image_pull_policy: PullPolicy = PullPolicy.IF_NOT_PRESENT
    """When the image is pulled."""

    web: Web = Field(default_factory=Web)
    """The pods that answer requests."""

    jobs: Annotated[tuple[JobGroup, ...], Field(max_length=16)] = Field(
        default=(), json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
    )
    """Groups of job workers."""

    database: Database
    """Which server, and how many connections."""

    additional_databases: Annotated[tuple[AdditionalDatabase, ...], Field(max_length=8)] = Field(
        default=(), json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
    )
    """Further databases of the same processes. The service is rolled out when every budget has room for it."""

    when_over: WhenOver = WhenOver.REFUSE
    """What becomes of it when it does not fit. Refuse: it is not rolled out, and what runs keeps running. ShrinkPool:
    it gets the largest pool between pool.minSize and pool.size with which it fits, and more when there is room again.
    """

    migrations: Migrations | None = None
    """Command that migrates the schema before each new image rolls out."""

    shutdown: Shutdown = Field(default_factory=Shutdown)
    """The deadlines of a pod's end."""

    rollout: Rollout = Field(default_factory=Rollout)
    """How new pods replace old ones."""

    env: Annotated[tuple[EnvVar, ...], Field(max_length=256)] = Field(
        default=(), json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
    )
    """Further environment variables, after those of the contract."""

    env_from: Annotated[tuple[EnvFrom, ...], Field(max_length=16)] = ()
    """Secrets and ConfigMaps whose keys become environment variables; those of the contract and of env win over them.
    When one of them changes, or a Secret of a database, the pods are replaced, if the operator may read it: see the
    condition ConfigTracked.
    """

    pod: PodSettings = Field(default_factory=PodSettings)
    """What all pods of the service have in common: web, job workers and migrations."""


class MigrationStatus(Wire):
    """The last migration that failed."""

    job: str = Field(default="", max_length=63)
    """Name of its Job."""

    log: str = Field(default="", max_length=4096)
    """The last lines that it printed."""


class PlanStatus(Wire):
    """What the service asks of its budget, and how that number comes about."""

    connections: int = Field(default=0, ge=0)
    """Connections that the service could open at worst."""

    granted: int = Field(default=0, ge=0)
    """What the budget holds for it now."""

    per_pod: int = Field(default=0, ge=0)
    """Connections that one web pod could open."""

    pool_size: int = Field(default=0, ge=0)
    """The pool that each web process gets: pool.size, or less where whenOver is ShrinkPool and room is scarce."""

    pool_size_time: str | None = Field(default=None, json_schema_extra={"format": "date-time"})
    """When that last changed."""

    pods: int = Field(default=0, ge=0)
    """Pods that may exist at once, terminating ones included."""

    memory: str = Field(default="", max_length=64)
    """What these pods may use of memory by their limits; empty where one has none."""

    arithmetic: str = Field(default="", max_length=2048)
    """How the number comes about, term by term."""


class FastAPIServiceStatus(Wire):
    """What was decided, and what was seen."""

    observed_generation: int = -1
    """The generation of the spec that this status is about."""

    replicas: int = Field(default=0, ge=0)
    """Web pods that exist."""

    ready_pods: str = Field(default="", max_length=32)
    """Pods ready and wanted, web and jobs together."""

    selector: str = Field(default="", max_length=1024)
    """Label selector of the web pods."""

    plan: PlanStatus | None = None
    """What the service asks of its budget."""

    migration: MigrationStatus | None = None
    """The migration that holds the rollout up by having failed."""

    url: str = Field(default="", max_length=1024)
    """Where the service is reached inside the cluster."""

    conditions: Annotated[tuple[Condition, ...], Field(max_length=16)] = Field(
        default=(), json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
    )
    """Ready, Reconciling, Stalled, BudgetGranted, WithinDeclared, MigrationsApplied, ConfigTracked."""


class FastAPIService(Wire):
    """A FastAPI application with its job workers, deployed within a ConnectionBudget."""

    metadata: Metadata
    spec: FastAPIServiceSpec
    status: FastAPIServiceStatus = Field(default_factory=FastAPIServiceStatus)

    @property
    def budget_key(self) -> BudgetKey:
        """The budget of its own database."""
        return self.key_of(self.spec.database.budget_ref)

    @property
    def budget_keys(self) -> tuple[BudgetKey, ...]:
        """Every budget that it claims from, its own database's first."""
        others = (self.key_of(database.budget_ref) for database in self.spec.additional_databases)
        return tuple(dict.fromkeys((self.budget_key, *others)))

    def key_of(self, ref: BudgetRef) -> BudgetKey:
        """The budget that ``ref`` names; without a namespace it is the service's own."""
        return BudgetKey(ref.namespace or self.metadata.namespace, ref.name)
