"""FastAPIService: one application, its web pods, its groups of job workers, and the connections that each may open.

Owned by the app team. Every default here is the default of the API: the CRD is generated from this file.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field

from plimsoll.api.meta import BudgetKey, Condition, DnsLabel, Manifest, Metadata, ObjectName, SecretKey, Wire

if TYPE_CHECKING:
    from pydantic.config import JsonDict

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

LARGEST_POOL: Final = 10000
MOST_PROCESSES: Final = 64
Replicas = Annotated[int, Field(ge=0, le=1000)]
Seconds = Annotated[int, Field(ge=0, le=86400)]
Deadline = Annotated[int, Field(ge=1, le=86400)]
Argv = Annotated[tuple[Annotated[str, Field(max_length=4096)], ...], Field(max_length=64)]
OPEN: Final[JsonDict] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


class PullPolicy(StrEnum):
    """When the kubelet pulls an image."""

    ALWAYS = "Always"
    IF_NOT_PRESENT = "IfNotPresent"
    NEVER = "Never"


class ServiceType(StrEnum):
    """How the web pods are reached."""

    CLUSTER_IP = "ClusterIP"
    NODE_PORT = "NodePort"


class EnvVar(Wire):
    """One environment variable; ``$(NAME)`` in the value expands to an earlier one, those of the contract included."""

    name: Annotated[str, Field(min_length=1, max_length=253)]
    """Name of the variable."""

    value: Annotated[str, Field(max_length=32768)] = ""
    """Its value."""


class Expose(Wire):
    """The Service in front of the web pods."""

    type: ServiceType = ServiceType.CLUSTER_IP
    """ClusterIP or NodePort."""

    port: Annotated[int, Field(ge=1, le=65535)] = 80
    """Port of the Service."""

    node_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Port on every node, with type NodePort; left out, the cluster picks one."""


class Autoscaling(Wire):
    """A HorizontalPodAutoscaler for the workload. Connections are claimed for maxReplicas, so that it always fits."""

    min_replicas: Annotated[int, Field(ge=1, le=1000)] = 1
    """The fewest pods."""

    max_replicas: Annotated[int, Field(ge=1, le=1000)]
    """The most pods; what the service claims rests on it."""

    target_cpu_utilization_percentage: Annotated[int, Field(ge=1, le=1000)] = 80
    """Average CPU of the pods, as a percentage of what they request, that the autoscaler aims at."""


class Web(Wire):
    """The pods that answer requests."""

    replicas: Replicas = 2
    """How many pods; without effect beside autoscaling."""

    autoscaling: Autoscaling | None = None
    """Lets the number of pods follow their load, within bounds."""

    workers: Annotated[int, Field(ge=1, le=MOST_PROCESSES)] | None = None
    """Server processes per pod. Each has a connection pool of its own, so it multiplies what a pod can open. Left out:
    one per whole CPU of resources.limits.cpu, and one where no limit is set; never the node's cores.
    """

    restarting_workers: Annotated[int, Field(ge=0, le=MOST_PROCESSES)] = 0
    """Server processes that exist beside the others while the server restarts its own: the number of workers where
    gunicorn is told to reload (HUP), which starts the new ones first. uvicorn and plimsoll_runtime replace one after
    the other, and need none.
    """

    command: Argv = ()
    """Replaces the image's default command (CMD); an entrypoint such as an init stays in front of it. Left out, the
    default is run.
    """

    port: Annotated[int, Field(ge=1, le=65535)] = 8000
    """Port that the container listens on; given to it as PORT."""

    liveness_path: Annotated[str, Field(max_length=1024)] = "/healthz"
    """Path of the startup and liveness probes."""

    readiness_path: Annotated[str, Field(max_length=1024)] = "/readyz"
    """Path of the readiness probe."""

    service: Expose = Field(default_factory=Expose)
    """The Service in front of the pods."""

    resources: Manifest = Field(default_factory=dict, json_schema_extra=OPEN)
    """Requests and limits of the container."""


class JobGroup(Wire):
    """Pods that work off durable jobs. Any worker will do, as long as it keeps to its declared connections."""

    name: Annotated[DnsLabel, Field(max_length=20)]
    """Name of the group, unique in the service."""

    command: Annotated[Argv, Field(min_length=1)]
    """Command of the worker, in place of the image's default command (CMD)."""

    replicas: Replicas = 1
    """How many pods; without effect beside autoscaling."""

    autoscaling: Autoscaling | None = None
    """Lets the number of pods follow their load, within bounds."""

    processes: Annotated[int, Field(ge=1, le=MOST_PROCESSES)] = 1
    """Worker processes per pod; given to it as WEB_CONCURRENCY."""

    connections_per_process: Annotated[int, Field(ge=1, le=1000)] = 2
    """The most connections that one process opens; given to it as DB_POOL_SIZE. plimsoll_runtime's worker needs at
    least 2: one to listen, one to work.
    """

    resources: Manifest = Field(default_factory=dict, json_schema_extra=OPEN)
    """Requests and limits of the container."""


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
    """How long one try may take."""


class Shutdown(Wire):
    """The deadlines of a pod's end. The operator adds them up to terminationGracePeriodSeconds."""

    pre_stop_seconds: Seconds = 0
    """Sleep before SIGTERM, for images that do not drain by themselves."""

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

    url: str = Field(default="", max_length=1024)
    """Where the service is reached inside the cluster."""

    conditions: Annotated[tuple[Condition, ...], Field(max_length=16)] = Field(
        default=(), json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
    )
    """Ready, Reconciling, Stalled, BudgetGranted, WithinDeclared, MigrationsApplied."""


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
