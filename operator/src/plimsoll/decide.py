"""The decision about one service: what its claims are, which children to apply, which to delete, what to wait for.

The heart of the flow, pure: ``Observed`` → ``Decision``. The shell writes the claims first, then applies, then deletes,
then reports (``report.py``). Called again and again with whatever the world looks like; it never asks what happened
before.

    no budget, or not for this namespace     → say so, touch nothing
    does not fit                             → say so with the arithmetic; what runs keeps running
    fits at the end, but not beside old pods → first what makes room, then the rest
    fits → guard → migration → workloads       (``steps.py``)
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from plimsoll.api.fastapiservice import WhenOver
from plimsoll.budget.demand import demand
from plimsoll.budget.fit import REST_SECONDS, Wish, fit, floor_of
from plimsoll.conditions import Finding, Reason, stalls, waits
from plimsoll.errors import Forbidden
from plimsoll.explain import Case, beside_what_runs, over_budget, with_pool
from plimsoll.grants import Account, accounts_of, claims_of
from plimsoll.halfway import halfway, in_place
from plimsoll.obstacles import closed, lacking, unread
from plimsoll.overlap import entitled, standing
from plimsoll.render import migration
from plimsoll.step import SOON_SECONDS, Step
from plimsoll.steps import fenced, roll_out

if TYPE_CHECKING:
    from collections.abc import Mapping

    from plimsoll.api.fastapiservice import FastAPIService
    from plimsoll.api.meta import BudgetKey
    from plimsoll.budget.ledger import Claim
    from plimsoll.errors import Terminal
    from plimsoll.observed import Observed

UNSETTLED_SECONDS = 2.0
"""How soon to look again while pods come or go: nothing wakes the operator when the last terminating pod is gone."""

STARTING_SECONDS = 5.0
"""How soon to look again while pods are not ready: why they are not is in their own status, which wakes nobody."""

PATIENT_SECONDS = 15 * UNSETTLED_SECONDS
"""How soon to look again at what waits for a person or for room; what frees room wakes it earlier."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What to write, in this order: claims, children, status.

    Attributes:
        service: the service as it is rolled out: with the pool that fits, where that is smaller than the spec's.
        claims: what it holds from now on, budget by budget; a budget that is not named is left alone.
        step: what to do with its children.
        findings: what is to be said whatever becomes of the children; empty where the workloads speak for themselves.
        requeue_after: seconds after which to look again though nothing woke the operator.
    """

    service: FastAPIService
    claims: Mapping[BudgetKey, Claim] = field(default_factory=dict)
    step: Step = field(default_factory=Step)
    findings: tuple[Finding, ...] = ()
    requeue_after: float | None = None


def decide(observed: Observed) -> Decision:
    """Decides about one service; see the module's docstring."""
    decision = _decide(observed)
    covered = [entitled(observed.on(key)) <= claim.connections for key, claim in decision.claims.items()]
    step = fenced(observed, decision.step, may_raise=bool(covered) and all(covered))
    if step is decision.step:
        return decision
    return replace(decision, step=step, requeue_after=min(decision.requeue_after or SOON_SECONDS, SOON_SECONDS))


def _decide(observed: Observed) -> Decision:
    service = observed.service
    if lack := lacking(service):
        return Decision(service=service, findings=stalls(Reason.INVALID_SPEC, lack), requeue_after=PATIENT_SECONDS)
    for key in service.budget_keys:
        if finding := closed(observed, key):
            return Decision(service=service, findings=finding, requeue_after=PATIENT_SECONDS)
    if not all(view.seen for view in observed.deployments()):
        # One step at a time: until the controller knows of the last one, it may still act on the one before.
        return Decision(service=service, requeue_after=UNSETTLED_SECONDS)
    fitted = _fitted(observed)
    decision = _decide_on(replace(observed, service=fitted))
    if fitted != service and decision.requeue_after is None:  # more room may be there already, and wait for its rest
        decision = replace(decision, requeue_after=float(REST_SECONDS))
    return decision


def after_refusal(decision: Decision, refusal: Terminal | Forbidden) -> Decision:
    """The decision when the API server would not have what it names: only an edit, or a right, can help."""
    reason = Reason.FORBIDDEN if isinstance(refusal, Forbidden) else Reason.INVALID_SPEC
    return replace(decision, findings=stalls(reason, f"The cluster refuses a part of the service: {refusal}"))


def _decide_on(observed: Observed) -> Decision:
    service = observed.service
    accounts = accounts_of(observed)
    refusing = next((each for each in accounts if not each.grant.admitted), None)
    if refusing is None:
        return _from_step(observed, roll_out(observed), accounts=accounts)
    if all(each.grant.admitted for each in accounts if each.budget.key in service.budget_keys) and (
        moving := _moving(observed)
    ):
        return moving
    claims = claims_of(accounts, refused=True)
    key = refusing.budget.key
    if refusing.ledger.capacity is None:
        reading = unread(observed, refusing.budget)
        message = (
            f"Needs {refusing.wanted.connections} connections, and budget {key} has no valid reading of its server:"
            f" {reading}"
        )
        return Decision(
            service=service,
            claims=claims,
            findings=waits(Reason.WAITING_FOR_BUDGET, message),
            requeue_after=5 * UNSETTLED_SECONDS,
        )
    too_large = next((each for each in accounts if each.wanted.connections > each.grant.free), None)
    if too_large is not None:
        case = Case(
            service=service,
            key=too_large.budget.key,
            ledger=too_large.ledger,
            overlap=observed.overlap,
            beside={
                each.budget.key: each.ledger
                for each in accounts
                if each is not too_large and each.ledger.capacity is not None and each.wanted.connections
            },
        )
        message = over_budget(case, want=too_large.want)
        return Decision(
            service=service,
            claims=claims,
            findings=stalls(Reason.OVER_BUDGET, message),
            requeue_after=PATIENT_SECONDS,
        )
    return _halfway(observed, refusing)


def _fitted(observed: Observed) -> FastAPIService:
    """The service with the pool that it can have; as its spec says where none fits, and the refusal explains that."""
    service = observed.service
    if service.spec.when_over is WhenOver.REFUSE:
        return service
    pool, plan = service.spec.database.pool, service.status.plan
    since = plan.pool_size_time if plan else None
    wish = Wish(
        size=pool.size,
        floor=floor_of(pool.size, pool.min_size),
        current=plan.pool_size if plan and plan.granted else 0,
        rested=since is None
        or datetime.fromisoformat(observed.now) - datetime.fromisoformat(since) >= timedelta(seconds=REST_SECONDS),
    )

    def fits(size: int) -> bool:
        """Whether it fits in the end; that it may have to go there by a step in between is no reason for less."""
        trial = replace(observed, service=with_pool(service, size=size))
        return all(each.grant.admitted or each.wanted.connections <= each.grant.free for each in accounts_of(trial))

    size = fit(wish, fits=fits)
    return with_pool(service, size=size) if size else service


def _from_step(observed: Observed, step: Step, *, accounts: tuple[Account, ...]) -> Decision:
    claims = claims_of(accounts)
    exact = (each.wanted.connections + each.want.beyond == claims[each.budget.key].connections for each in accounts)
    settled = step.is_empty and all(exact)
    again = step.again_after
    if again is None and not settled:
        again = PATIENT_SECONDS if step.findings else UNSETTLED_SECONDS
    if again is None and not _all_settled(observed):
        again = STARTING_SECONDS
    if again is None and observed.terminating():  # it may outlive its grace period
        again = 5 * UNSETTLED_SECONDS
    return Decision(service=observed.service, claims=claims, step=step, findings=step.findings, requeue_after=again)


def _all_settled(observed: Observed) -> bool:
    return all(view.settled for view in observed.deployments())


def _moving(observed: Observed) -> Decision | None:
    """Only a budget that the service leaves has no room for more pods: first all move, then there come to be more."""
    there = replace(observed, service=in_place(observed))
    accounts = accounts_of(there)
    if not all(each.grant.admitted for each in accounts):
        return None
    step = roll_out(there)
    message = "Moves to another budget with the pods that it has; the others follow when these have moved."
    return Decision(
        service=observed.service,
        claims=claims_of(accounts),
        step=step,
        findings=step.findings or waits(Reason.WAITING_FOR_BUDGET, message),
        requeue_after=step.again_after or UNSETTLED_SECONDS,
    )


def _halfway(observed: Observed, refusing: Account) -> Decision:
    """The spec fits, but not beside the pods that are to go: first what makes room, then the rest."""
    stone, parts = halfway(observed)
    own = observed.on(observed.service.budget_key)
    wanted = demand(observed.service, observed.service.budget_key, overlap=observed.overlap)
    migrating = wanted.migration.minus(standing(own, migration.PART))
    accounts = accounts_of(observed, migrating=migrating)
    refused = next((each for each in accounts if not each.grant.admitted), None)
    claims = claims_of(accounts, refused=refused is not None)
    if refused is not None:
        message = beside_what_runs(
            refused.wanted, stands=refused.want.standing, migration=migrating, grant=refused.grant
        )
        return Decision(
            service=observed.service,
            claims=claims,
            findings=stalls(Reason.OVER_BUDGET, message),
            requeue_after=PATIENT_SECONDS,
        )
    step = roll_out(replace(observed, service=stone), parts=parts)
    findings, again = step.findings, step.again_after
    if not findings and step.is_empty and not observed.terminating() and _all_settled(observed):
        message = (
            f"Needs {refusing.wanted.connections} connections, which fit, but there is no step from what runs that"
            " opens no more in any budget: shrink the pools first, and change the rest after that."
        )
        findings, again = stalls(Reason.OVER_BUDGET, message), PATIENT_SECONDS
    elif not findings:
        message = f"Needs {refusing.wanted.connections} connections, which fit once the pods that are to go have gone."
        findings, again = waits(Reason.WAITING_FOR_BUDGET, message), UNSETTLED_SECONDS
    return Decision(
        service=observed.service, claims=claims, step=step, findings=findings, requeue_after=again or PATIENT_SECONDS
    )
