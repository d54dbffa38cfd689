"""What is around a service: all that carries its name, read in the order that the decisions rest on.

Called once at the beginning of each look at a service (``services``).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from plimsoll.budget.demand import Overlap
from plimsoll.deployments import templates
from plimsoll.last_words import last_words
from plimsoll.observed import makers, running
from plimsoll.render.names import SERVICE, SERVICE_NAMESPACE

if TYPE_CHECKING:
    from plimsoll.api.meta import BudgetKey, Manifest
    from plimsoll.observed import MakerView, PodView

    from plimsoll_operator.cluster import Cluster
    from plimsoll_operator.queue import Key

_CHILDREN: Final = ("Deployment", "Service", "ResourceQuota", "Job", "HorizontalPodAutoscaler", "PodDisruptionBudget")
_MAKERS: Final = frozenset({"Deployment", "ReplicaSet", "Job"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """All that carries a service's name, whichever object of that name it belongs to."""

    objects: tuple[Manifest, ...]
    makers: tuple[MakerView, ...]
    templates: dict[str, str]
    pods: tuple[PodView, ...]
    last_words: dict[str, str]

    def budgets_of(self, uid: str | None) -> set[BudgetKey]:
        """The budgets that pods of one object connect to, or pods that something can still make."""
        pods = {pod.budget for pod in self.pods if pod.uid == uid}
        return pods | {maker.budget for maker in self.makers if maker.uid == uid}


async def look_around(cluster: Cluster, key: Key, *, overlap: Overlap) -> Surroundings:
    """What there is, in the order in which it comes about.

    Guards and Deployments, then ReplicaSets, then pods: what the earlier ones have let through or made by the time that
    they were seen is then among the later ones.
    """
    named = {SERVICE: key.name}
    asked = [cluster.list(kind, namespace=key.namespace, labels=named) for kind in _CHILDREN]
    if overlap is Overlap.GUARDED:
        asked.append(cluster.list("PriorityClass", labels={SERVICE_NAMESPACE: key.namespace, **named}))
    lists = await asyncio.gather(*asked)
    objects = [each for found in lists for each in found]
    objects += await cluster.list("ReplicaSet", namespace=key.namespace, labels=named)
    pods = await cluster.list("Pod", namespace=key.namespace, labels=named)
    return Surroundings(
        objects=tuple(objects),
        makers=makers(each for each in objects if each["kind"] in _MAKERS),
        templates=templates(objects),
        pods=running(pods),
        last_words=last_words(pods),
    )
