"""What the shell has seen, as frozen views: the input of ``decide`` and ``report``.

Raw manifests come in from the cluster client and are read here once, so that the decisions compare names and numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from plimsoll.api.meta import BudgetKey
from plimsoll.budget.demand import Overlap
from plimsoll.conditions import met
from plimsoll.deployments import DeploymentView
from plimsoll.render.names import COMPONENT, CONNECTIONS, SERVICE, SERVICE_UID
from plimsoll.trouble import Trouble, of_pod
from plimsoll.units import NONE, Connections, total

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from plimsoll.api.connectionbudget import ConnectionBudget
    from plimsoll.api.fastapiservice import FastAPIService
    from plimsoll.api.meta import Manifest
    from plimsoll.configuration import Reading

_CLEANUP_SECONDS: Final = 5
"""What kubelet and runtime may take to clear away a pod whose grace period is over."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PodView:
    """A pod that exists, and what it can open to the server of one budget. A pod that uses several has several."""

    namespace: str
    name: str
    service: str
    part: str
    uid: str
    """The uid of the service that it belongs to."""

    budget: BudgetKey
    connections: Connections
    overdue_from: str = ""
    """When it should have been gone by; empty where it is not terminating. Some time later its quota forgets it."""

    trouble: Trouble | None = None
    """Why its container does not run; nothing where it does or is only starting."""

    maker: str = ""
    """The uid of the ReplicaSet or Job that made it."""

    @classmethod
    def of(cls, manifest: Manifest) -> Iterator[PodView]:
        """Reads a pod as the API server returned it."""
        meta = manifest["metadata"]
        labels = meta.get("labels", {})
        for budget, connections in declared(meta.get("annotations", {})).items():
            yield cls(
                namespace=meta.get("namespace", ""),
                name=meta["name"],
                service=labels.get(SERVICE, ""),
                part=labels.get(COMPONENT, ""),
                uid=labels.get(SERVICE_UID, ""),
                budget=budget,
                connections=connections,
                overdue_from=_overdue_from(meta),
                trouble=of_pod(manifest.get("status", {})),
                maker=next((each["uid"] for each in meta.get("ownerReferences", []) if each.get("controller")), ""),
            )


def _overdue_from(meta: Manifest) -> str:
    """Shortly after the end of the grace period; a quota forgets the pod one whole grace period after it."""
    if not (ends := meta.get("deletionTimestamp")):
        return ""
    slack = min(_CLEANUP_SECONDS, meta.get("deletionGracePeriodSeconds") or 0)
    return (datetime.fromisoformat(ends) + timedelta(seconds=slack)).strftime("%Y-%m-%dT%H:%M:%SZ")


def declared(annotations: Mapping[str, str]) -> dict[BudgetKey, Connections]:
    """What a pod says that it can open, by budget. Anybody may write an annotation: nonsense counts as nothing said."""
    said = {}
    for each in annotations.get(CONNECTIONS, "").split(","):
        where, _, count = each.partition("=")
        namespace, _, name = where.partition("/")
        if namespace and name and count.isascii() and count.isdigit() and len(count) < 7:
            said[BudgetKey(namespace, name)] = Connections(int(count))
    return said


def running(pods: Iterable[Manifest]) -> tuple[PodView, ...]:
    """The pods that can hold connections; one that has ended is an object without processes."""
    there = (pod for pod in pods if pod.get("status", {}).get("phase") not in {"Succeeded", "Failed"})
    return tuple(view for pod in there for view in PodView.of(pod))


@dataclass(frozen=True, kw_only=True, slots=True)
class MakerView:
    """Something that can still make pods, and what each of them could open to the server of one budget."""

    namespace: str
    service: str
    part: str
    uid: str
    """The uid of the service that it belongs to."""

    budget: BudgetKey
    connections: Connections

    @classmethod
    def of(cls, manifest: Manifest) -> Iterator[MakerView]:
        """Reads a Deployment, ReplicaSet or Job as the API server returned it."""
        meta = manifest["metadata"]
        labels = meta.get("labels", {})
        annotations = manifest["spec"]["template"]["metadata"].get("annotations", {})
        for budget, connections in declared(annotations).items():
            yield cls(
                namespace=meta.get("namespace", ""),
                service=labels.get(SERVICE, ""),
                part=labels.get(COMPONENT, ""),
                uid=labels.get(SERVICE_UID, ""),
                budget=budget,
                connections=connections,
            )


def makers(workloads: Iterable[Manifest]) -> tuple[MakerView, ...]:
    """What can still make pods: Deployments, ReplicaSets that are to have pods, Jobs under way."""
    return tuple(view for each in workloads if _makes_pods(each) for view in MakerView.of(each))


def _makes_pods(workload: Manifest) -> bool:
    status = workload.get("status", {})
    match workload["kind"]:
        case "ReplicaSet":  # an old one at zero is done for once its controller knows
            seen = status.get("observedGeneration", 0) >= workload["metadata"].get("generation", 0)
            return bool(workload["spec"].get("replicas", 1)) or not seen
        case "Job":
            return not met(workload) & {"Complete", "Failed"}
        case _:
            return True


@dataclass(frozen=True, kw_only=True, slots=True)
class Observed:
    """Everything that one decision about a service rests on."""

    service: FastAPIService
    budgets: tuple[ConnectionBudget, ...] = ()
    """Every budget there is: those that the service names, and those that may point at the same servers."""

    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    """Labels of the service's namespace, by which budgets of other namespaces may allow it."""

    overlap: Overlap = Overlap.GUARDED
    """What keeps the number of pods within the claim: a matter of the operator's rights."""

    children: Mapping[tuple[str, str], Manifest] = field(default_factory=dict)
    """Kind and name → the object, of everything that this service owns."""

    pods: tuple[PodView, ...] = ()
    """Pods of this very object, by uid."""

    makers: tuple[MakerView, ...] = ()
    """What can still make such pods. It was seen before the pods were: what it had made by then is among them."""

    templates: Mapping[str, str] = field(default_factory=dict)
    """Uid of a ReplicaSet → its template, as ``DeploymentView`` knows it."""

    last_words: Mapping[str, str] = field(default_factory=dict)
    """Job → how its last failed pod ended, and what that printed."""

    readings: tuple[Reading, ...] = ()
    """What was seen of the Secrets and ConfigMaps that its processes are started with."""

    account: str = ""
    """The operator's own identity, for the command that grants it a right it lacks."""

    now: str = ""

    @property
    def budget_keys(self) -> tuple[BudgetKey, ...]:
        """The budgets that the service names, and after these those that it has left and can still connect to.

        A guard counts pods, whichever budget they are of: raised for the one, it lets more pods exist of the other.
        """
        connected = {each.budget for each in self.pods} | {each.budget for each in self.makers}
        left = sorted(budget.key for budget in self.budgets if budget.key in connected)
        return tuple(dict.fromkeys((*self.service.budget_keys, *left)))

    def budget(self, key: BudgetKey) -> ConnectionBudget | None:
        """The budget of that name, where there is one."""
        return next((budget for budget in self.budgets if budget.key == key), None)

    def own_budgets(self) -> tuple[ConnectionBudget, ...]:
        """Those that the service names."""
        return tuple(budget for budget in self.budgets if budget.key in self.service.budget_keys)

    def on(self, key: BudgetKey) -> Observed:
        """The same, with only what connects to the server of one budget."""
        return replace(
            self,
            pods=tuple(pod for pod in self.pods if pod.budget == key),
            makers=tuple(maker for maker in self.makers if maker.budget == key),
        )

    def deployments(self) -> tuple[DeploymentView, ...]:
        """All its Deployments."""
        return tuple(DeploymentView.of(child) for (kind, _), child in self.children.items() if kind == "Deployment")

    def live(self, part: str | None = None) -> Connections:
        """What the pods that exist could open, of one workload or of all."""
        return total(pod.connections for pod in self.pods if part is None or pod.part == part)

    def parts(self) -> frozenset[str]:
        """The workloads that have pods, or can get some."""
        return frozenset(pod.part for pod in self.pods) | frozenset(maker.part for maker in self.makers)

    def can_make(self, part: str) -> bool:
        """Whether something is there that can make pods of this workload."""
        return any(maker.part == part for maker in self.makers)

    def dearest(self, part: str) -> Connections:
        """The most that one pod of this workload could open, of those that exist or can still be made."""
        pods = (pod.connections for pod in self.pods if pod.part == part)
        made = (maker.connections for maker in self.makers if maker.part == part)
        return max((*pods, *made), default=NONE)

    def terminating(self, part: str | None = None) -> bool:
        """Whether a pod of this workload, or of any, is on its way out."""
        return any(pod.overdue_from and part in {None, pod.part} for pod in self.pods)

    def overdue(self, part: str) -> int:
        """How many pods of this workload have outlived their grace period.

        A process that cannot be killed, or a node that cannot be asked: it may be connected still, and the API server
        stops charging it to its quota.
        """
        return len({pod.name for pod in self.pods if pod.part == part and "" < pod.overdue_from <= self.now})

    def words_of(self, job: str) -> str:
        """How the last failed pod of a Job ended; when its pods are gone, what was said of it before."""
        told = self.service.status.migration
        return self.last_words.get(job, "") or (told.log if told and told.job == job else "")

    def with_children(self, applied: Iterable[Manifest]) -> Observed:
        """The same observation after ``applied`` came back from the API server."""
        fresh = {(child["kind"], child["metadata"]["name"]): child for child in applied}
        return replace(self, children={**self.children, **fresh})
