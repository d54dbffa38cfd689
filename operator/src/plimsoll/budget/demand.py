"""What a service can open at worst: ``demand``.

Second step of the flow. A pod opens processes × (pool size + max overflow + extra); the guard (a ResourceQuota on the
workload's own PriorityClass) keeps it at replicas + maxSurge pods, terminating ones included, because the API server
charges a pod to its quota until it is gone. A migration runs beside the old pods and adds its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from plimsoll.units import NONE, Connections, total

if TYPE_CHECKING:
    from plimsoll.api.fastapiservice import FastAPIServiceSpec, JobGroup

WEB = "web"
"""The workload that answers requests; every other workload is a group of job workers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PodCost:
    """The connections that one pod can open."""

    processes: int
    pool: int
    overflow: int = 0
    extra: int = 0

    @property
    def connections(self) -> Connections:
        """processes × (pool + overflow + extra)."""
        return Connections(self.processes * (self.pool + self.overflow + self.extra))

    def __str__(self) -> str:
        inner = [f"{self.pool} pool"]
        if self.overflow:
            inner.append(f"{self.overflow} overflow")
        if self.extra:
            inner.append(f"{self.extra} extra")
        each = inner[0] if len(inner) == 1 else f"({' + '.join(inner)})"
        return f"{self.processes} process{'es' if self.processes > 1 else ''} × {each}"


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkloadDemand:
    """What the pods of one workload can open at worst."""

    name: str
    replicas: int
    surge: int
    cost: PodCost

    @property
    def pods(self) -> int:
        """The most pods that exist at once, terminating ones included: what the guard allows. No replicas, no pods."""
        return self.replicas + self.surge if self.replicas else 0

    @property
    def connections(self) -> Connections:
        """Pods × connections per pod."""
        return self.cost.connections * self.pods

    def __str__(self) -> str:
        pods = f"({self.replicas} + {self.surge} surge) pods" if self.surge and self.replicas else f"{self.pods} pods"
        return f"{self.name} {pods} × {self.cost} = {self.connections}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Demand:
    """What a whole service can open at worst."""

    workloads: tuple[WorkloadDemand, ...]
    migration: Connections

    @property
    def connections(self) -> Connections:
        """The sum over its workloads and its migration."""
        return total(workload.connections for workload in self.workloads) + self.migration

    def __str__(self) -> str:
        terms = [str(workload) for workload in self.workloads]
        if self.migration:
            terms.append(f"migration {self.migration}")
        return "; ".join(terms)


def web_cost(spec: FastAPIServiceSpec) -> PodCost:
    """What one web pod can open."""
    database = spec.database
    return PodCost(
        processes=spec.web.workers,
        pool=database.pool.size,
        overflow=database.pool.max_overflow,
        extra=database.extra_per_process,
    )


def job_cost(group: JobGroup) -> PodCost:
    """What one pod of a group of job workers can open."""
    return PodCost(processes=group.processes, pool=group.connections_per_process)


def demand(spec: FastAPIServiceSpec) -> Demand:
    """What a service of this spec can open at worst."""
    surge = spec.rollout.max_surge
    web = WorkloadDemand(name=WEB, replicas=spec.web.replicas, surge=surge, cost=web_cost(spec))
    groups = tuple(
        WorkloadDemand(name=f"jobs {group.name}", replicas=group.replicas, surge=surge, cost=job_cost(group))
        for group in spec.jobs
    )
    migration = Connections(spec.migrations.connections) if spec.migrations else NONE
    return Demand(workloads=(web, *groups), migration=migration)
