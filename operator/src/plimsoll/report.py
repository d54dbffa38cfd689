"""The status of a service, from the decision about it and from what the children look like after it was carried out.

Last step of the flow: pure as the decision. How far the workloads have come is said by ``progress``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plimsoll.api.fastapiservice import FastAPIServiceStatus, MigrationStatus, PlanStatus
from plimsoll.budget.demand import WEB, demand
from plimsoll.conditions import WAITS_FOR_ROOM, ConditionType, Finding, Reason, conditions
from plimsoll.configuration import pace, tracked
from plimsoll.progress import progress
from plimsoll.quantity import amount, in_mebibytes
from plimsoll.render import migration
from plimsoll.render.names import component, selector
from plimsoll.render.service import url
from plimsoll.units import total

if TYPE_CHECKING:
    from collections.abc import Mapping

    from plimsoll.api.fastapiservice import FastAPIService
    from plimsoll.api.meta import BudgetKey
    from plimsoll.api.workloads import JobGroup, Web
    from plimsoll.budget.demand import Demand
    from plimsoll.decide import Decision
    from plimsoll.observed import Observed
    from plimsoll.units import Connections


def report(observed: Observed, decision: Decision, *, held: Mapping[BudgetKey, Connections]) -> FastAPIServiceStatus:
    """The status to write.

    Args:
        observed: what was seen, with the children as they came back from the apply.
        decision: what was decided.
        held: what each ledger holds for the service now.
    """
    service = observed.service
    wanted = {key: demand(decision.service, key, overlap=observed.overlap) for key in service.budget_keys}
    views = observed.deployments()
    web = next((view for view in views if view.part == WEB), None)
    granted = total(held.values())
    findings = (
        *(decision.findings or progress(observed)),
        _granted(observed, decision, held=granted, wanted=total(each.connections for each in wanted.values())),
        *_declared(observed),
        *tracked(
            observed.readings,
            templates=[
                each["spec"]["template"] for (kind, _), each in observed.children.items() if kind == "Deployment"
            ],
            pace=pace(observed.own_budgets()),
            namespace=service.metadata.namespace,
            account=observed.account,
            now=observed.now,
        ),
    )
    return FastAPIServiceStatus(
        observed_generation=service.metadata.generation,
        replicas=web.replicas if web else 0,
        ready_pods=f"{sum(view.ready for view in views)}/{_desired(observed)}",
        selector=",".join(f"{key}={value}" for key, value in selector(service, component(None)).items()),
        plan=_plan(observed, decision, wanted=wanted, granted=granted),
        migration=_failed_migration(observed, decision),
        url=url(service),
        conditions=conditions(
            findings=findings,
            before=service.status.conditions,
            generation=service.metadata.generation,
            now=observed.now,
        ),
    )


def _plan(
    observed: Observed, decision: Decision, *, wanted: Mapping[BudgetKey, Demand], granted: Connections
) -> PlanStatus:
    own = wanted[observed.service.budget_key]
    parts = [str(each) if len(wanted) == 1 else f"{key}: {each}" for key, each in wanted.items()]
    before, pool = observed.service.status.plan, decision.service.spec.database.pool.size
    refused = any(finding.reason in WAITS_FOR_ROOM for finding in decision.findings)
    if refused and before and before.granted and before.pool_size:
        pool = before.pool_size  # that is what runs
    changed = before is None or before.pool_size != pool
    return PlanStatus(
        connections=total(each.connections for each in wanted.values()).count,
        granted=granted.count,
        per_pod=total(each.workloads[0].cost.connections for each in wanted.values()).count,
        pool_size=pool,
        pool_size_time=observed.now if changed or before is None else before.pool_size_time,
        pods=sum(workload.pods for workload in own.workloads),
        memory=_memory(observed.service, own),
        arithmetic="; ".join(parts)[:2048],
    )


def _memory(service: FastAPIService, wanted: Demand) -> str:
    resources = [service.spec.web.resources, *(group.resources for group in service.spec.jobs)]
    limits = [amount(each, "limits", "memory") for each in resources]
    if any(limit is None for limit, workload in zip(limits, wanted.workloads, strict=True) if workload.pods):
        return ""
    sums = sum(limit * workload.pods for limit, workload in zip(limits, wanted.workloads, strict=True) if limit)
    return in_mebibytes(sums) if sums else ""


def _desired(observed: Observed) -> int:
    """Pods that are wanted now; an autoscaled Deployment says itself how many."""
    spec = observed.service.spec
    live = {view.part: view.wanted for view in observed.deployments()}
    workloads: list[tuple[str, Web | JobGroup]] = [(component(None), spec.web)]
    workloads += [(component(group.name), group) for group in spec.jobs]
    return sum(
        live.get(part, workload.autoscaling.min_replicas) if workload.autoscaling else workload.replicas
        for part, workload in workloads
    )


def _failed_migration(observed: Observed, decision: Decision) -> MigrationStatus | None:
    """The migration that holds the rollout up: its pods may be gone before somebody reads why."""
    migrations = observed.service.spec.migrations
    if migrations is None or all(each.reason is not Reason.MIGRATION_FAILED for each in decision.findings):
        return None
    job = migration.job_name(observed.service, migrations)
    return MigrationStatus(job=job, log=observed.words_of(job))


def _granted(observed: Observed, decision: Decision, *, held: Connections, wanted: Connections) -> Finding:
    """Whether the spec fits; the same words as in Ready where it does not."""
    for finding in decision.findings:
        if finding.reason in WAITS_FOR_ROOM:
            status = None if finding.reason is Reason.WAITING_FOR_BUDGET else False
            return Finding(
                type=ConditionType.BUDGET_GRANTED, status=status, reason=finding.reason, message=finding.message
            )
    if decision.findings and not decision.claims:  # it was not asked about
        finding = decision.findings[0]
        return Finding(type=ConditionType.BUDGET_GRANTED, status=None, reason=finding.reason, message=finding.message)
    asked, got = (each.spec.database.pool.size for each in (observed.service, decision.service))
    reason, message = Reason.GRANTED, f"{held} connections are held for it; its spec asks for {wanted}."
    if got < asked:
        reason = Reason.SHRUNK_TO_FIT
        message = f"{held} connections are held for it: a pool of {asked} does not fit now, so each process has {got}."
    return Finding(type=ConditionType.BUDGET_GRANTED, status=True, reason=reason, message=message)


def _declared(observed: Observed) -> tuple[Finding, ...]:
    """Whether its pods were seen to keep to what they declare; nothing before they were looked at."""
    uid = observed.service.metadata.uid
    usage = [each for budget in observed.own_budgets() for each in budget.status.usage]
    mine = [each for each in usage if each.uid == uid]
    if not mine:
        return ()
    beyond = [each for one in mine for each in one.overdrafts]
    if beyond:
        worst = max(beyond, key=lambda each: each.connections)
        others = ", ".join(sorted({each.part for each in beyond} - {worst.part}))
        message = (
            f"A pod of {worst.part} had {worst.connections} connections open beyond what it declares, last seen"
            f" {worst.seen_time}{f' (and pods of {others} had some)' if others else ''}: something in it ignores"
            " DB_POOL_SIZE or DB_MAX_OVERFLOW, or connects beside its pool (then declare that:"
            " database.extraPerProcess). Until then as many more are held for every pod."
        )
        return (
            Finding(
                type=ConditionType.WITHIN_DECLARED, status=False, reason=Reason.MORE_THAN_DECLARED, message=message
            ),
        )
    message = "No pod was seen to open more connections than it declares."
    return (Finding(type=ConditionType.WITHIN_DECLARED, status=True, reason=Reason.DECLARED, message=message),)
