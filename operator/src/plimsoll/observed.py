"""What the shell has seen, as frozen views: the input of ``decide`` and ``report``.

Raw manifests come in from the cluster client and are read here once, so that the decisions compare names and numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from plimsoll.render.names import BUDGET, COMPONENT, CONNECTIONS, SERVICE, SERVICE_UID
from plimsoll.units import NONE, Connections, total

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from plimsoll.api.connectionbudget import ConnectionBudget
    from plimsoll.api.fastapiservice import FastAPIService
    from plimsoll.api.meta import Manifest


@dataclass(frozen=True, kw_only=True, slots=True)
class DeploymentView:
    """How far a Deployment has come."""

    part: str
    seen: bool
    """The controller has seen the latest spec, and acts on no earlier one any more."""

    settled: bool
    """That, and every pod is of its template and available."""

    ready: int
    wanted: int
    replicas: int
    stuck: str
    """The controller's own words where it has given up waiting; empty otherwise."""

    @classmethod
    def of(cls, manifest: Manifest) -> DeploymentView:
        """Reads a Deployment as the API server returned it."""
        meta, spec, status = manifest["metadata"], manifest["spec"], manifest.get("status", {})
        wanted = spec.get("replicas", 1)
        conditions = {condition["type"]: condition for condition in status.get("conditions", [])}
        progressing = conditions.get("Progressing", {})
        seen = status.get("observedGeneration", 0) >= meta.get("generation", 0)
        return cls(
            part=meta.get("labels", {}).get(COMPONENT, ""),
            seen=seen,
            settled=seen
            and status.get("replicas", 0)
            == status.get("updatedReplicas", 0)
            == status.get("availableReplicas", 0)
            == wanted,
            ready=status.get("readyReplicas", 0),
            wanted=wanted,
            replicas=status.get("replicas", 0),
            stuck=progressing.get("message", "") if progressing.get("reason") == "ProgressDeadlineExceeded" else "",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class PodView:
    """A pod that exists, and what it can open."""

    namespace: str
    service: str
    part: str
    uid: str
    """The uid of the service that it belongs to."""

    budget: str
    connections: Connections
    trouble: str = ""
    """Why its container does not run, in the kubelet's words; empty where it does or is only starting."""

    @classmethod
    def of(cls, manifest: Manifest) -> PodView:
        """Reads a pod as the API server returned it."""
        meta = manifest["metadata"]
        labels, annotations = meta.get("labels", {}), meta.get("annotations", {})
        return cls(
            namespace=meta.get("namespace", ""),
            service=labels.get(SERVICE, ""),
            part=labels.get(COMPONENT, ""),
            uid=labels.get(SERVICE_UID, ""),
            budget=annotations.get(BUDGET, ""),
            connections=_declared(annotations),
            trouble=_trouble(manifest.get("status", {})),
        )


def _trouble(status: Manifest) -> str:
    """What the kubelet says of a container that it cannot start; the pod's own log says the rest."""
    for container in status.get("containerStatuses", []):
        waiting = container.get("state", {}).get("waiting", {})
        if waiting.get("reason") not in {None, "ContainerCreating", "PodInitializing"}:
            words = waiting.get("message", "").split("\n", 1)[0][:300]
            return f"{waiting['reason']}: {words}" if words else waiting["reason"]
    return ""


def _declared(annotations: Mapping[str, str]) -> Connections:
    """What a pod says that it can open. Anybody may write an annotation: nonsense counts as nothing said."""
    said = annotations.get(CONNECTIONS, "")
    return Connections(int(said)) if said.isascii() and said.isdigit() and len(said) < 7 else NONE


def running(pods: Iterable[Manifest]) -> tuple[PodView, ...]:
    """The pods that can hold connections; one that has ended is an object without processes."""
    return tuple(PodView.of(pod) for pod in pods if pod.get("status", {}).get("phase") not in {"Succeeded", "Failed"})


@dataclass(frozen=True, kw_only=True, slots=True)
class MakerView:
    """Something that can still make pods, and what each of them could open."""

    part: str
    uid: str
    """The uid of the service that it belongs to."""

    budget: str
    connections: Connections

    @classmethod
    def of(cls, manifest: Manifest) -> MakerView:
        """Reads a Deployment, ReplicaSet or Job as the API server returned it."""
        labels = manifest["metadata"].get("labels", {})
        annotations = manifest["spec"]["template"]["metadata"].get("annotations", {})
        return cls(
            part=labels.get(COMPONENT, ""),
            uid=labels.get(SERVICE_UID, ""),
            budget=annotations.get(BUDGET, ""),
            connections=_declared(annotations),
        )


def makers(workloads: Iterable[Manifest]) -> tuple[MakerView, ...]:
    """What can still make pods: Deployments, ReplicaSets that are to have pods, Jobs under way."""
    return tuple(MakerView.of(each) for each in workloads if _makes_pods(each))


def _makes_pods(workload: Manifest) -> bool:
    status = workload.get("status", {})
    match workload["kind"]:
        case "ReplicaSet":  # an old one at zero is done for once its controller knows
            seen = status.get("observedGeneration", 0) >= workload["metadata"].get("generation", 0)
            return bool(workload["spec"].get("replicas", 1)) or not seen
        case "Job":
            done = {each["type"] for each in status.get("conditions", []) if each.get("status") == "True"}
            return not done & {"Complete", "Failed"}
        case _:
            return True


@dataclass(frozen=True, kw_only=True, slots=True)
class Observed:
    """Everything that one decision about a service rests on."""

    service: FastAPIService
    budget: ConnectionBudget | None
    children: Mapping[tuple[str, str], Manifest] = field(default_factory=dict)
    """Kind and name → the object, of everything that this service owns."""

    pods: tuple[PodView, ...] = ()
    """Pods of this very object (by uid) that connect through its budget."""

    makers: tuple[MakerView, ...] = ()
    """What can still make such pods. It was seen before the pods were: what it had made by then is among them."""

    now: str = ""

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

    def with_children(self, applied: Iterable[Manifest]) -> Observed:
        """The same observation after ``applied`` came back from the API server."""
        fresh = {(child["kind"], child["metadata"]["name"]): child for child in applied}
        return replace(self, children={**self.children, **fresh})
