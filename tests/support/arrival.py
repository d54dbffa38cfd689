"""What must hold when everything may act and nothing is edited any more; see ``watch``.

Every service is ready with claims of exactly its demand in every budget that it names, or says why not and is right;
nothing is left behind of those that are gone or have moved; no server is overdrawn by claims unless it shrank.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plimsoll.api.connectionbudget import ConnectionBudget
from plimsoll.api.fastapiservice import FastAPIService, WhenOver
from plimsoll.budget.demand import demand
from plimsoll.budget.fit import floor_of
from plimsoll.conditions import Reason
from plimsoll.explain import with_pool
from plimsoll.observed import PodView
from support.wishes import SERVERS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from plimsoll.api.budgetstatus import ClaimStatus
    from plimsoll.api.meta import Manifest
    from support.memory_cluster import MemoryCluster


class OverTheLineError(AssertionError):
    """The promise is broken."""


class NotConvergedError(AssertionError):
    """Everything may act, nothing is edited, and still it does not come to rest where it should."""


def check_arrived(
    cluster: MemoryCluster, *, wishes: Collection[str], capacity: Mapping[str, int], shrank: Collection[str]
) -> None:
    """Raises OverTheLineError for the last of these, and NotConvergedError where another one does not hold."""
    for name in wishes:
        _check_service(cluster, name, capacity)
    kept = {each["metadata"]["labels"]["plimsoll.dev/service"] for each in cluster.of_kind("PriorityClass")}
    claimants = {name for budget in SERVERS for name in claims_by_name(cluster, budget)}
    if left := (kept | claimants) - set(wishes):
        raise NotConvergedError(f"left behind of services that are gone: {left}")
    for server in capacity:
        claims = [each for budget in _on(cluster, server) for each in budget.status.claims]
        claimed, margin = sum(each.connections for each in claims), _margin(cluster, server, claims)
        if claimed > capacity[server] - margin and server not in shrank:
            raise OverTheLineError(f"{claims} of {server} at rest, and it gives {capacity[server]} - {margin}")


def claims_by_name(cluster: MemoryCluster, budget: str) -> dict[str, int]:
    """Who holds how much of a budget; of several under one name, all together."""
    status = cluster.objects.get(("ConnectionBudget", "demo", budget), {}).get("status", {})
    sums: dict[str, int] = {}
    for claim in status.get("claims", []):
        sums[claim["name"]] = sums.get(claim["name"], 0) + claim["connections"]
    return sums


def _check_service(cluster: MemoryCluster, name: str, capacity: Mapping[str, int]) -> None:
    live = cluster.read("FastAPIService", "demo", name)
    asked = FastAPIService.model_validate(live)
    ready: Manifest = next((each for each in live["status"].get("conditions", []) if each["type"] == "Ready"), {})
    claims = {budget: claims_by_name(cluster, budget) for budget in SERVERS}
    said = f"{name} ({ready.get('reason')}: {ready.get('message')}), claims {claims}"
    if ready.get("status") == "True":
        _check_ready(cluster, asked, said, capacity)
    elif ready.get("reason") == Reason.OVER_BUDGET:
        smallest = with_pool(asked, size=_floor(asked))
        if all(_fits(cluster, smallest, server, said=said) for server in capacity):
            raise NotConvergedError(f"refused though it fits: {said}")
    elif ready.get("reason") != Reason.MIGRATION_FAILED:
        raise NotConvergedError(f"neither ready nor refused: {said}")


def _check_ready(cluster: MemoryCluster, asked: FastAPIService, said: str, capacity: Mapping[str, int]) -> None:
    name, plan = asked.metadata.name, asked.status.plan
    pool = plan.pool_size if plan else 0
    service = with_pool(asked, size=pool)
    if not _floor(asked) <= pool <= asked.spec.database.pool.size:
        raise NotConvergedError(f"has a pool of {pool}: {said}")
    worth_it = max(1, asked.spec.database.pool.size // 4)
    for larger in {min(pool + worth_it, asked.spec.database.pool.size), asked.spec.database.pool.size} - {pool}:
        trial = with_pool(asked, size=larger)
        if all(_fits(cluster, trial, server, said=said) for server in capacity):
            raise NotConvergedError(f"has a pool of {pool}, and there is room for {larger}: {said}")
    wanted = {key.name: demand(service, key) for key in service.budget_keys}
    for budget in SERVERS:
        expected = wanted[budget].connections.count if budget in wanted else 0
        if claims_by_name(cluster, budget).get(name, 0) != expected:
            raise NotConvergedError(f"claims more or less of {budget} than {expected}: {said}")
    scales = {"web": asked.spec.web.autoscaling} | {f"jobs-{each.name}": each.autoscaling for each in asked.spec.jobs}
    by_part = zip(*(each.workloads for each in wanted.values()), strict=True)
    for workloads in by_part:
        part, replicas = workloads[0].name.replace(" ", "-"), workloads[0].replicas
        pods = [_costs(pod, wanted) for pod in cluster.of_kind("Pod") if _is_of(pod, name, part)]
        scale = scales[part]
        number = range(scale.min_replicas, scale.max_replicas + 1) if scale else [replicas]
        if len(pods) not in number or any(each != [one.cost.connections.count for one in workloads] for each in pods):
            raise NotConvergedError(f"its pods of {part} are {pods}, and it wants {workloads}: {said}")


def _fits(cluster: MemoryCluster, service: FastAPIService, server: str, *, said: str) -> bool:
    """Whether a server has room for it, with the margin that it would make, in all its budgets that point there."""
    uid = service.metadata.uid
    here = {budget.key: budget for budget in _on(cluster, server)}
    wanted = {key: demand(service, key) for key in service.budget_keys if key in here}
    if not wanted:
        return True
    claims = [(key, each) for key, budget in here.items() for each in budget.status.claims]
    mine = [each for key, each in claims if each.uid == uid and key in wanted]
    others = [each for key, each in claims if each.uid != uid or key not in wanted]
    margin = _margin(cluster, server, [*others, *mine], *(each.per_pod.count for each in wanted.values()))
    needed = sum(each.connections.count for each in wanted.values())
    if "not beside what runs" in said:
        migration = sum(each.migration.count for each in wanted.values())
        needed = max(needed, sum(each.connections for each in mine) + migration)
    capacity = min(budget.status.capacity or 0 for budget in here.values())
    return needed <= max(0, capacity - margin) - sum(each.connections for each in others)


def _margin(cluster: MemoryCluster, server: str, claims: Iterable[ClaimStatus], *per_pod: int) -> int:
    """What is kept back of a server, where its budgets leave that to the operator."""
    declared = next(budget.spec.margin for budget in _on(cluster, server))
    return max([*(each.per_pod for each in claims), *per_pod], default=0) if declared is None else declared


def _floor(service: FastAPIService) -> int:
    pool = service.spec.database.pool
    return floor_of(pool.size, pool.min_size) if service.spec.when_over is WhenOver.SHRINK_POOL else pool.size


def _on(cluster: MemoryCluster, server: str) -> list[ConnectionBudget]:
    names = [name for name, where in SERVERS.items() if where == server]
    return [ConnectionBudget.model_validate(cluster.read("ConnectionBudget", "demo", name)) for name in names]


def _costs(pod: Manifest, budgets: Iterable[str]) -> list[int]:
    costs = {view.budget.name: view.connections.count for view in PodView.of(pod)}
    return [costs.pop(budget, 0) for budget in budgets] + list(costs.values())


def _is_of(pod: Manifest, name: str, part: str) -> bool:
    labels = pod["metadata"]["labels"]
    return bool(
        labels["plimsoll.dev/service"] == name
        and labels["app.kubernetes.io/component"] == part
        and pod["status"]["phase"] != "Failed"
    )
