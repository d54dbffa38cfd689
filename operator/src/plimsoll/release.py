"""What outlives its service: claims of one that is gone, was made anew under its name, or has moved to another budget.

Pure. Such a claim follows the pods that are still there, and ends with the last of them: what still connects is still
counted, wherever its owner went. So do guards, which have no owner that could clear them away too early.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from plimsoll.render.names import SERVICE_UID
from plimsoll.units import Connections, total

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from plimsoll.api.budgetstatus import UsageStatus
    from plimsoll.api.meta import BudgetKey, Manifest
    from plimsoll.budget.ledger import Claim, Ledger
    from plimsoll.observed import MakerView, PodView


def stale(claims: Iterable[Claim], *, namespace: str, name: str, current_uid: str | None) -> tuple[Claim, ...]:
    """The claims under this name that are not those of the object that claims now (``None``: nothing claims now)."""
    return tuple(
        each for each in claims if (each.namespace, each.name) == (namespace, name) and each.uid != current_uid
    )


def released(
    ledger: Ledger,
    *,
    budget: BudgetKey,
    namespace: str,
    name: str,
    current_uid: str | None,
    pods: Iterable[PodView],
    makers: Iterable[MakerView] = (),
    usage: Iterable[UsageStatus] = (),
) -> Ledger:
    """The ledger after claims of ``namespace/name`` that are no longer current have followed their pods.

    Args:
        ledger: the claims on one budget.
        budget: that budget.
        namespace: the service's namespace.
        name: the service's name.
        current_uid: uid of the service that claims from this budget now; ``None`` where there is none.
        pods: every pod that carries the service's name, whichever object it belongs to.
        makers: what can still make such pods, seen before the pods were; as long as there is some, a claim stays.
        usage: what services were seen to have open: a pod that opens more than it declares goes on doing so.
    """
    there = tuple(pods)
    overdrafts = {each.uid: {one.part: one.connections for one in each.overdrafts} for each in usage}
    making = {maker.uid for maker in makers if maker.budget == budget}
    for claim in stale(ledger.claims, namespace=namespace, name=name, current_uid=current_uid):
        if claim.uid not in making:
            beyond = overdrafts.get(claim.uid, {})
            ledger = ledger.with_claim(_followed(claim, budget=budget, pods=there, beyond=beyond))
    return ledger


def _followed(claim: Claim, *, budget: BudgetKey, pods: tuple[PodView, ...], beyond: Mapping[str, int]) -> Claim:
    mine = [pod for pod in pods if pod.uid == claim.uid and pod.budget == budget]
    left = total(pod.connections + Connections(beyond.get(pod.part, 0)) for pod in mine)
    return replace(claim, connections=min(claim.connections, left), arithmetic=f"{left} by pods that are still there")


def strays(guards: Iterable[Manifest], *, current_uid: str | None) -> tuple[Manifest, ...]:
    """The guards whose service is no more."""
    return tuple(each for each in guards if each["metadata"]["labels"].get(SERVICE_UID) != current_uid)


def orphans(
    guards: Iterable[Manifest], *, pods: Iterable[PodView], makers: Iterable[MakerView]
) -> tuple[Manifest, ...]:
    """Of these, the guards behind which no pod is left, and nothing that could still make one."""
    needed = {pod.uid for pod in pods} | {maker.uid for maker in makers}
    return tuple(each for each in guards if each["metadata"]["labels"].get(SERVICE_UID) not in needed)
