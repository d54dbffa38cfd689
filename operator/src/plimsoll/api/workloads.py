"""The workloads of a FastAPIService: the pods that answer requests, and the groups of job workers.

Part of ``fastapiservice``; how many pods there are and how many processes each has is what the arithmetic begins with.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field

from plimsoll.api.meta import DnsLabel, Manifest, Wire

if TYPE_CHECKING:
    from pydantic.config import JsonDict

MOST_PROCESSES: Final = 64
Replicas = Annotated[int, Field(ge=0, le=1000)]
Argv = Annotated[tuple[Annotated[str, Field(max_length=4096)], ...], Field(max_length=64)]
"""Arguments of a command."""

OPEN: Final[JsonDict] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
"""An object that the schema does not look into."""


class ServiceType(StrEnum):
    """How the web pods are reached."""

    CLUSTER_IP = "ClusterIP"
    NODE_PORT = "NodePort"


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
    """Path of the startup and liveness probes. It should not use the database: a pool that is busy is no reason to
    restart a process.
    """

    startup_seconds: Annotated[int, Field(ge=1, le=3600)] = 120
    """How long a pod may take to answer for the first time before it is restarted."""

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
