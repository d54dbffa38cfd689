"""How far the workloads of a service have come, and what holds them up: Ready, Reconciling and Stalled.

Part of ``report``; pure. "Ready" is said only of what was seen: the Deployments as the API server returned them after
the apply, never as they were hoped to be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plimsoll import trouble
from plimsoll.conditions import Progress, Reason, summary
from plimsoll.render.guard import quota_name
from plimsoll.render.names import component

if TYPE_CHECKING:
    from plimsoll.conditions import Finding
    from plimsoll.deployments import DeploymentView
    from plimsoll.observed import Observed
    from plimsoll.trouble import Trouble


def progress(observed: Observed) -> tuple[Finding, ...]:
    """What is to be said of the workloads, where nothing else is in the way."""
    views = sorted(observed.deployments(), key=lambda each: each.part)
    troubles = {view.part: _troubles(observed, view) for view in views}
    stuck = [view for view in views if view.stuck]
    expected = {component(None), *(component(group.name) for group in observed.service.spec.jobs)}
    ready = ", ".join(f"{view.part} {view.ready}/{view.wanted}" for view in views)
    if not stuck and {view.part for view in views if view.settled} >= expected:
        return summary(progress=Progress.DONE, reason=Reason.AVAILABLE, message=f"All pods are ready: {ready}.")
    told = [f"{part}: {each}" for part, found in troubles.items() for each in _sentences(found)]
    told += [f"{view.part}: {view.stuck}" for view in stuck]
    message = " ".join([f"Pods ready so far: {ready or 'none'}.", *told])
    # What holds a workload that its controller has given up on comes first: that is the reason.
    given_up = [each for view in stuck for each in troubles[view.part]]
    holding = [*given_up, *(each for found in troubles.values() for each in found if each.holds)]
    if holding or stuck:
        reason = holding[0].reason if holding else Reason.PROGRESS_DEADLINE_EXCEEDED
        return summary(progress=Progress.STALLED, reason=reason, message=message)
    return summary(progress=Progress.UNDER_WAY, reason=Reason.PROGRESSING, message=message)


def _troubles(observed: Observed, view: DeploymentView) -> list[Trouble]:
    """What is wrong with the pods of the Deployment's present template; those of an earlier one are about to go.

    Before its controller has seen the template there are none.
    """
    if not view.seen:
        return []
    pods = {pod.name: pod for pod in observed.pods if pod.part == view.part and not pod.overdue_from}
    present = {maker for maker, template in observed.templates.items() if template == view.template}
    found = [pod.trouble for pod in pods.values() if pod.trouble is not None and pod.maker in present]
    refused = trouble.of_deployment(view.conditions, guard=quota_name(observed.service, view.part))
    return [*([refused] if refused else []), *sorted(found, key=lambda each: (not each.holds, each.words))]


def _sentences(troubles: list[Trouble]) -> list[str]:
    """One of each sort, and how many more there are: a hundred pods that crash have a hundred logs."""
    sorts: dict[Reason, list[Trouble]] = {}
    for each in troubles:
        sorts.setdefault(each.reason, []).append(each)
    return [_sentence(first, more=len(others)) for first, *others in sorts.values()]


def _sentence(each: Trouble, *, more: int) -> str:
    stop = "" if each.words.endswith(".") else "."
    likewise = f" And {more} more pod{'' if more == 1 else 's'} likewise." if more else ""
    return f"{each.words[0].upper()}{each.words[1:]}{stop}{likewise}"
