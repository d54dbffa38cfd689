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
    settled: bool
    """The controller has seen the latest template, and every pod is of it and available."""

    ready: int
    wanted: int
    replicas: int
    stuck: str
    """The controller's own words where it has given up waiting, or where it cannot create pods; empty otherwise."""

    @classmethod
    def of(cls, manifest: Manifest) -> DeploymentView:
        """Reads a Deployment as the API server returned it."""
        meta, spec, status = manifest["metadata"], manifest["spec"], manifest.get("status", {})
        wanted = spec.get("replicas", 1)
        conditions = {condition["type"]: condition for condition in status.get("conditions", [])}
        progressing = conditions.get("Progressing", {})
        return cls(
            part=meta.get("labels", {}).get(COMPONENT, ""),
            settled=status.get("observedGeneration", 0) >= meta.get("generation", 0)
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
    terminating: bool

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
            connections=Connections(int(annotations.get(CONNECTIONS, "0"))),
            terminating="deletionTimestamp" in meta,
        )


def running(pods: Iterable[Manifest]) -> tuple[PodView, ...]:
    """The pods that can hold connections; one that has ended is an object without processes."""
    return tuple(PodView.of(pod) for pod in pods if pod.get("status", {}).get("phase") not in {"Succeeded", "Failed"})


def makers(workloads: Iterable[Manifest], *, budget: str) -> frozenset[str]:
    """The uids of the services for which a Deployment or ReplicaSet can still make pods that connect to ``budget``."""
    return frozenset(
        each["metadata"].get("labels", {}).get(SERVICE_UID, "")
        for each in workloads
        if each["spec"].get("replicas", 1)
        and each["spec"]["template"]["metadata"].get("annotations", {}).get(BUDGET) == budget
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Observed:
    """Everything that one decision about a service rests on."""

    service: FastAPIService
    budget: ConnectionBudget | None
    children: Mapping[tuple[str, str], Manifest] = field(default_factory=dict)
    """Kind and name → the object, of everything that this service owns."""

    pods: tuple[PodView, ...] = ()
    """Pods of this very object (by uid) that connect through its budget."""

    now: str = ""

    def deployments(self) -> tuple[DeploymentView, ...]:
        """All its Deployments."""
        return tuple(DeploymentView.of(child) for (kind, _), child in self.children.items() if kind == "Deployment")

    def live(self, part: str | None = None) -> Connections:
        """What the pods that exist could open, of one workload or of all."""
        return total(pod.connections for pod in self.pods if part is None or pod.part == part)

    def dearest(self, part: str) -> Connections:
        """The most that one existing pod of this workload could open."""
        return max((pod.connections for pod in self.pods if pod.part == part), default=NONE)

    def with_children(self, applied: Iterable[Manifest]) -> Observed:
        """The same observation after ``applied`` came back from the API server."""
        fresh = {(child["kind"], child["metadata"]["name"]): child for child in applied}
        return replace(self, children={**self.children, **fresh})
