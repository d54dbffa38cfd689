"""What all controllers of the model in ``kube_world`` share: moves, owners, pods from first to last."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from support.builders import NOW

if TYPE_CHECKING:
    from collections.abc import Callable

    from plimsoll.api.meta import Manifest
    from support.memory_cluster import MemoryCluster

ENDED = {"Succeeded", "Failed"}
GRACE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Move:
    """One thing that could happen next."""

    name: str
    do: Callable[[], None]
    fair: bool = True
    """Whether it happens by itself sooner or later; false for bad luck and for detours."""

    def __str__(self) -> str:
        return self.name


class KubeBase:
    """The objects, and the pods among them."""

    def __init__(
        self, cluster: MemoryCluster, *, enforces_quotas: bool = True, clock: Callable[[], str] = lambda: NOW
    ) -> None:
        self.cluster = cluster
        self.clock = clock
        self.enforces_quotas = enforces_quotas
        self.on_pod: Callable[[Manifest], None] = lambda _: None
        self.may_end: Callable[[Manifest, str], bool] = lambda _pod, _why: True
        """Whether a pod may be told to end now, and why it would be: a test may have rules for that."""
        self._names = 0

    def admits(self, namespace: str, template: Manifest) -> bool:
        """Whether the API server lets a pod of this template be made; see ``kube_quotas``."""
        raise NotImplementedError

    def make(self, owner: Manifest) -> None:
        """A controller makes a pod of its template."""
        template, meta = owner["spec"]["template"], owner["metadata"]
        self._names += 1
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                **template["metadata"],
                "name": f"{meta['name']}-{self._names}",
                "namespace": meta["namespace"],
                "ownerReferences": [owner_ref(owner)],
            },
            "spec": template["spec"],
            "status": {"phase": "Running", "ready": False},
        }
        self.cluster.put(pod)
        self.on_pod(pod)

    def terminate(self, pod: Manifest, *, why: str = "") -> None:
        """The pod's grace period begins; it is there, and connected, until it is gone."""
        meta = {
            "deletionTimestamp": later(self.clock(), GRACE_SECONDS),
            "deletionGracePeriodSeconds": GRACE_SECONDS,
        }
        self._edit_pod(pod, lambda live: {**live, "metadata": {**live["metadata"], **meta}, "why": why})

    def overstay(self, pod: Manifest) -> None:
        """The grace period of a terminating pod is over, and it is still there: a process that cannot be killed."""
        ended = {"deletionTimestamp": later(self.clock(), -GRACE_SECONDS)}
        self._edit_pod(pod, lambda live: {**live, "metadata": {**live["metadata"], **ended}})

    def active(self, owner: Manifest) -> list[Manifest]:
        """The pods that a ReplicaSet counts as its own: neither terminating nor ended."""
        return [
            pod
            for pod in self.cluster.of_kind("Pod", namespace=owner["metadata"]["namespace"])
            if is_owner(owner, pod)
            and "deletionTimestamp" not in pod["metadata"]
            and pod["status"]["phase"] not in ENDED
        ]

    def ready_pods(self, owner: Manifest) -> list[Manifest]:
        """Those of them that are ready."""
        return [pod for pod in self.active(owner) if pod["status"]["ready"]]

    def set_status(self, kind: str, meta: Manifest, **status: Any) -> None:
        """Sets fields of an object's status."""
        self.cluster.edit_status(kind, meta["namespace"], meta["name"], **status)

    def put_status(self, kind: str, meta: Manifest, status: Manifest) -> None:
        """Replaces an object's status."""
        self.cluster.edit(kind, meta["namespace"], meta["name"], lambda live: {**live, "status": status})

    def _edit_pod(self, pod: Manifest, change: Callable[[Manifest], Manifest]) -> None:
        self.cluster.edit("Pod", pod["metadata"]["namespace"], pod["metadata"]["name"], change)


def later(now: str, seconds: float) -> str:
    """So many seconds after ``now``, as Kubernetes writes it."""
    return (datetime.fromisoformat(now) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def owner_ref(owner: Manifest) -> Manifest:
    """What a controller writes into what it makes."""
    meta = owner["metadata"]
    return {"kind": owner["kind"], "name": meta["name"], "uid": meta["uid"], "controller": True}


def is_owner(owner: Manifest, each: Manifest) -> bool:
    """Whether ``owner`` is named in it."""
    uid = owner["metadata"]["uid"]
    return any(reference["uid"] == uid for reference in each["metadata"].get("ownerReferences", []))
