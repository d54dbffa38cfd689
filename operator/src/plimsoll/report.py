"""The status of a service, from the decision about it and from what the children look like after it was carried out.

Last step of the flow: pure as the decision. "Ready" is said only of what was seen: the Deployments as the API server
returned them after the apply, never as they were hoped to be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plimsoll.api.fastapiservice import FastAPIServiceStatus, PlanStatus
from plimsoll.budget.demand import WEB, demand, web_cost
from plimsoll.conditions import WAITS_FOR_ROOM, ConditionType, Finding, Progress, Reason, conditions, summary
from plimsoll.render.names import component, selector
from plimsoll.render.service import url

if TYPE_CHECKING:
    from plimsoll.decide import Decision
    from plimsoll.observed import Observed
    from plimsoll.units import Connections


def report(observed: Observed, decision: Decision, *, held: Connections) -> FastAPIServiceStatus:
    """The status to write.

    Args:
        observed: what was seen, with the children as they came back from the apply.
        decision: what was decided.
        held: what the ledger holds for the service now.
    """
    service = observed.service
    wanted = demand(service.spec)
    views = observed.deployments()
    web = next((view for view in views if view.part == WEB), None)
    desired = service.spec.web.replicas + sum(group.replicas for group in service.spec.jobs)
    findings = (
        *(decision.findings or _from_workloads(observed)),
        _granted(decision, held=held, wanted=wanted.connections),
    )
    return FastAPIServiceStatus(
        observed_generation=service.metadata.generation,
        replicas=web.replicas if web else 0,
        ready_pods=f"{sum(view.ready for view in views)}/{desired}",
        selector=",".join(f"{key}={value}" for key, value in selector(service, component(None)).items()),
        plan=PlanStatus(
            connections=wanted.connections.count,
            granted=held.count,
            per_pod=web_cost(service.spec).connections.count,
            arithmetic=str(wanted)[:1024],
        ),
        url=url(service),
        conditions=conditions(
            findings=findings,
            before=service.status.conditions,
            generation=service.metadata.generation,
            now=observed.now,
        ),
    )


def _from_workloads(observed: Observed) -> tuple[Finding, ...]:
    views = observed.deployments()
    stuck = [f"{view.part}: {view.stuck}" for view in views if view.stuck]
    if stuck:
        return summary(progress=Progress.STALLED, reason=Reason.PROGRESS_DEADLINE_EXCEEDED, message=" ".join(stuck))
    expected = {component(None), *(component(group.name) for group in observed.service.spec.jobs)}
    pods = ", ".join(f"{view.part} {view.ready}/{view.wanted}" for view in sorted(views, key=lambda each: each.part))
    if {view.part for view in views if view.settled} >= expected:
        return summary(progress=Progress.DONE, reason=Reason.AVAILABLE, message=f"All pods are ready: {pods}.")
    troubles = sorted({f"{pod.part}: {pod.trouble}" for pod in observed.pods if pod.trouble})
    message = " ".join([f"Pods ready so far: {pods or 'none'}.", *troubles])
    return summary(progress=Progress.UNDER_WAY, reason=Reason.PROGRESSING, message=message)


def _granted(decision: Decision, *, held: Connections, wanted: Connections) -> Finding:
    """Whether the spec fits; the same words as in Ready where it does not."""
    for finding in decision.findings:
        if finding.reason in WAITS_FOR_ROOM:
            status = None if finding.reason is Reason.WAITING_FOR_BUDGET else False
            return Finding(
                type=ConditionType.BUDGET_GRANTED, status=status, reason=finding.reason, message=finding.message
            )
    message = f"{held} connections are held for it; its spec asks for {wanted}."
    return Finding(type=ConditionType.BUDGET_GRANTED, status=True, reason=Reason.GRANTED, message=message)
