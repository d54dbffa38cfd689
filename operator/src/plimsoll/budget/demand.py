"""What a service can open at worst on one server: ``demand``.

Second step of the flow. A pod opens processes × (pool size + max overflow + extra) connections, for every database that
it uses on that server; how many pods may exist at once, terminating ones included, is a question of the overlap:

- ``Guarded``: replicas + maxSurge. A ResourceQuota on the workload's own PriorityClass holds it, since the API server
  charges a pod to its quota until it is gone.
- ``Counted``: nothing holds it but the operator's own order of steps, so what can happen within one termination is
added.

A migration runs beside the old pods and adds its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from plimsoll.quantity import amount
from plimsoll.shutdown import job_grace_seconds, web_grace_seconds
from plimsoll.units import NONE, Connections, total

if TYPE_CHECKING:
    from collections.abc import Iterator

    from plimsoll.api.fastapiservice import FastAPIService, Rollout
    from plimsoll.api.meta import BudgetKey
    from plimsoll.api.workloads import Autoscaling, JobGroup, Web

WEB = "web"
"""The workload that answers requests; every other workload is a group of job workers."""

_MOST_WORKERS = 64
"""As many processes as the API lets somebody ask for; a CPU limit beyond that starts no more."""


class Overlap(Enum):
    """What keeps the number of pods within what is claimed for."""

    GUARDED = "Guarded"
    COUNTED = "Counted"


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolCost:
    """The connections that one process can open to one database."""

    size: int
    overflow: int = 0
    extra: int = 0
    database: str = ""
    """Name of an additional database; empty for the service's own."""

    @property
    def connections(self) -> Connections:
        """Pool + overflow + extra."""
        return Connections(self.size + self.overflow + self.extra)

    def terms(self) -> Iterator[str]:
        """Its parts, each with its label."""
        where = f" {self.database}" if self.database else ""
        yield f"{self.size} pool{where}"
        if self.overflow:
            yield f"{self.overflow} overflow{where}"
        if self.extra:
            yield f"{self.extra} extra{where}"


@dataclass(frozen=True, kw_only=True, slots=True)
class PodCost:
    """The connections that one pod can open to one server."""

    processes: int
    restarting: int = 0
    """Processes that exist beside the others while a server restarts its own."""

    pools: tuple[PoolCost, ...]

    @property
    def connections(self) -> Connections:
        """(processes + restarting) × Σ pools."""
        return total(pool.connections for pool in self.pools) * (self.processes + self.restarting)

    def __str__(self) -> str:
        inner = [term for pool in self.pools for term in pool.terms()]
        each = inner[0] if len(inner) == 1 else f"({' + '.join(inner)})"
        if self.restarting:
            return f"({self.processes} + {self.restarting} restarting) processes × {each}"
        return f"{self.processes} process{'es' if self.processes > 1 else ''} × {each}"


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkloadDemand:
    """What the pods of one workload can open at worst.

    Attributes:
        name: ``web``, or ``jobs`` and the name of the group.
        replicas: the most that are wanted at once: an autoscaler's maximum, where there is one.
        surge: pods above that while rolling out.
        terminating: pods that may still terminate beside these; none where a guard counts them.
        evicted: likewise, of a drained node.
        cost: what each can open.
    """

    name: str
    replicas: int
    surge: int
    terminating: int = 0
    evicted: int = 0
    cost: PodCost

    @property
    def pods(self) -> int:
        """The most pods that exist at once, terminating ones included. No replicas, no pods."""
        return self.replicas + self.surge + self.terminating + self.evicted if self.replicas else 0

    @property
    def connections(self) -> Connections:
        """Pods × connections per pod."""
        return self.cost.connections * self.pods

    def __str__(self) -> str:
        terms = [str(self.replicas)]
        for count, label in ((self.surge, "surge"), (self.terminating, "terminating"), (self.evicted, "evicted")):
            if count and self.replicas:
                terms.append(f"{count} {label}")
        pods = terms[0] if len(terms) == 1 else f"({' + '.join(terms)})"
        return f"{self.name} {pods} pods × {self.cost} = {self.connections}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Demand:
    """What a whole service can open at worst on one server."""

    workloads: tuple[WorkloadDemand, ...]
    migration: Connections

    @property
    def connections(self) -> Connections:
        """The sum over its workloads and its migration."""
        return total(workload.connections for workload in self.workloads) + self.migration

    @property
    def per_pod(self) -> Connections:
        """What the dearest of its pods can open."""
        pods = (workload.cost.connections for workload in self.workloads if workload.pods)
        return max((*pods, self.migration))

    def __str__(self) -> str:
        terms = [str(workload) for workload in self.workloads if workload.cost.pools]
        if self.migration:
            terms.append(f"migration {self.migration}")
        return "; ".join(terms) or "nothing"


def processes(web: Web) -> int:
    """Server processes of a web pod: as declared, or one per whole CPU of its limit, and never fewer than one."""
    if web.workers is not None:
        return web.workers
    cpus = amount(web.resources, "limits", "cpu")
    return 1 if cpus is None else max(1, min(_MOST_WORKERS, int(cpus)))


def web_cost(service: FastAPIService, budget: BudgetKey) -> PodCost:
    """What one web pod can open to the server of ``budget``."""
    spec, pools = service.spec, []
    if service.budget_key == budget:
        pool = spec.database.pool
        pools.append(PoolCost(size=pool.size, overflow=pool.max_overflow, extra=spec.database.extra_per_process))
    pools += [
        PoolCost(size=each.pool_size, overflow=each.max_overflow, database=each.name)
        for each in spec.additional_databases
        if service.key_of(each.budget_ref) == budget
    ]
    return PodCost(processes=processes(spec.web), restarting=spec.web.restarting_workers, pools=tuple(pools))


def job_cost(service: FastAPIService, group: JobGroup, budget: BudgetKey) -> PodCost:
    """What one pod of a group of job workers can open to the server of ``budget``."""
    pools = [PoolCost(size=group.connections_per_process)] if service.budget_key == budget else []
    pools += [
        PoolCost(size=each.job_connections_per_process, database=each.name)
        for each in service.spec.additional_databases
        if service.key_of(each.budget_ref) == budget and each.job_connections_per_process
    ]
    return PodCost(processes=group.processes, pools=tuple(pools))


def demand(service: FastAPIService, budget: BudgetKey, *, overlap: Overlap = Overlap.GUARDED) -> Demand:
    """What a service can open at worst to the server of ``budget``."""
    spec = service.spec
    web = _workload(
        WEB,
        web_cost(service, budget),
        replicas=spec.web.replicas,
        autoscaling=spec.web.autoscaling,
        rollout=spec.rollout,
        grace_seconds=web_grace_seconds(spec.shutdown),
        overlap=overlap,
    )
    groups = (
        _workload(
            f"jobs {group.name}",
            job_cost(service, group, budget),
            replicas=group.replicas,
            autoscaling=group.autoscaling,
            rollout=spec.rollout,
            grace_seconds=job_grace_seconds(spec.shutdown),
            overlap=overlap,
        )
        for group in spec.jobs
    )
    own = spec.migrations is not None and service.budget_key == budget
    migration = Connections(spec.migrations.connections) if spec.migrations and own else NONE
    return Demand(workloads=(web, *groups), migration=migration)


def _workload(
    name: str,
    cost: PodCost,
    *,
    replicas: int,
    autoscaling: Autoscaling | None,
    rollout: Rollout,
    grace_seconds: int,
    overlap: Overlap,
) -> WorkloadDemand:
    most = autoscaling.max_replicas if autoscaling else replicas
    if overlap is Overlap.GUARDED:
        return WorkloadDemand(name=name, replicas=most, surge=rollout.max_surge, cost=cost)
    fewest = autoscaling.min_replicas if autoscaling else most
    return WorkloadDemand(
        name=name,
        replicas=most,
        surge=rollout.max_surge,
        terminating=_terminating(most, rollout, grace_seconds=grace_seconds) + max(0, most - fewest),
        evicted=most,
        cost=cost,
    )


def _terminating(replicas: int, rollout: Rollout, *, grace_seconds: int) -> int:
    """Pods that terminate beside replicas + maxSurge during one rollout that begins when nothing terminates.

    Pods are deleted as fast as new ones become available, at most maxSurge + maxUnavailable of them in any window of
    minReadySeconds: (maxSurge + maxUnavailable) × ⌈grace ÷ minReadySeconds⌉ within one grace period, and never more
    than there were. Without minReadySeconds there is no such window, and all of them may.
    """
    replaced = max(0, replicas - rollout.max_surge)  # 2 × replicas is all there can be, the surging ones included
    if not rollout.min_ready_seconds:
        return replaced
    windows = -(-grace_seconds // rollout.min_ready_seconds)
    return min(replaced, (rollout.max_surge + rollout.max_unavailable) * windows)
