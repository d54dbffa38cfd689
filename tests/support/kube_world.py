"""What surrounds the operator in a cluster, as a model: controllers, kubelets, garbage collector, quota admission.

Each offers the moves that it could legally make next; a test picks one, in any order, as late as it likes. What a
controller knows may be old: it acts on the spec that it has *seen*, until it makes the move to look again. Nothing in
here knows of budgets or claims, and nothing waits for the operator.

The model follows the real controllers where the operator's promise depends on it:

- a ReplicaSet makes a pod for every one that is missing, and does not count terminating ones as there;
- a Deployment keeps the sum of its ReplicaSets' replicas at replicas + maxSurge, takes old pods away only while enough
  are available, and when scaled amid a rollout may grow an old ReplicaSet too (proportional scaling);
- the API server charges a pod to its quota until it is gone or has ended, by the quota's *status*, which follows its
  spec late; a pod whose PriorityClass does not exist is refused;
- a Job replaces a failed pod when that is gone;
- the garbage collector removes, in any order and late, what has lost all its owners.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from plimsoll.observed import running
from support.builders import LATER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from plimsoll.api.meta import Manifest
    from support.memory_cluster import MemoryCluster

ENDED = {"Succeeded", "Failed"}
SOURCES = ("quotas", "deployments", "replica_sets", "jobs", "pods", "garbage")
"""Who makes the moves."""


@dataclass(frozen=True, slots=True)
class Move:
    """One thing that could happen next."""

    name: str
    do: Callable[[], None]
    fair: bool = True
    """Whether it happens by itself sooner or later; false for bad luck and for detours."""

    def __str__(self) -> str:
        return self.name


class KubeWorld:
    """The controllers over the objects of a ``MemoryCluster``."""

    def __init__(self, cluster: MemoryCluster, *, enforces_quotas: bool = True) -> None:
        self.cluster = cluster
        self._enforces_quotas = enforces_quotas
        self._names = 0
        self.on_pod: Callable[[Manifest], None] = lambda _: None

    def moves(self, *, asleep: str = "") -> list[Move]:
        """Everything that could happen next, in a fixed order, but for what one of the ``SOURCES`` would do."""
        return [move for source in SOURCES if source != asleep for move in getattr(self, f"_{source}")()]

    def run(self, *, rounds: int = 200) -> bool:
        """Lets everything that happens by itself happen, until nothing more does; whether that came to be."""
        for _ in range(rounds):
            fair = [move for move in self.moves() if move.fair]
            if not fair:
                return True
            fair[0].do()
        return False

    def drain(self) -> None:
        """Every pod begins to end, and all that makes pods replaces what it may before one of them is gone."""
        for pod in self.cluster.of_kind("Pod"):
            if pod["status"]["phase"] not in ENDED:
                self.terminate(pod)
        while making := [move for move in (*self._replica_sets(), *self._jobs()) if move.name.endswith("makes a pod")]:
            making[0].do()

    def open_connections(self, budget: str = "") -> int:
        """What the pods that exist could open, to the server of one budget or in all."""
        return sum(
            view.connections.count for view in running(self.cluster.of_kind("Pod")) if budget in {"", str(view.budget)}
        )

    # ---- quota admission

    def _quotas(self) -> Iterator[Move]:
        for quota in self.cluster.of_kind("ResourceQuota"):
            hard = quota["spec"]["hard"]
            if quota.get("status", {}).get("hard") != hard:
                meta = quota["metadata"]
                yield Move(
                    f"quota {meta['name']} is enforced at {hard['pods']}",
                    lambda meta=meta, hard=hard: self._status("ResourceQuota", meta, hard=hard),  # type: ignore[misc]
                )

    def _admits(self, namespace: str, template: Manifest) -> bool:
        priority = template["spec"].get("priorityClassName")
        if priority is None:
            return True
        if ("PriorityClass", "", priority) not in self.cluster.objects:
            return False
        if not self._enforces_quotas:
            return True
        for quota in self.cluster.of_kind("ResourceQuota", namespace=namespace):
            scope = quota["spec"]["scopeSelector"]["matchExpressions"][0]
            hard = quota.get("status", {}).get("hard", {}).get("pods")
            if priority in scope["values"] and hard is not None:
                charged = sum(
                    pod["spec"].get("priorityClassName") == priority and pod["status"]["phase"] not in ENDED
                    for pod in self.cluster.of_kind("Pod", namespace=namespace)
                )
                if charged >= int(hard):
                    return False
        return True

    # ---- Deployments

    def _deployments(self) -> Iterator[Move]:
        for deployment in self.cluster.of_kind("Deployment"):
            meta = deployment["metadata"]
            seen = deployment.get("seen")
            if seen != deployment["spec"]:
                yield Move(f"controller sees deployment {meta['name']}", lambda d=deployment: self._see(d))  # type: ignore[misc]
            if seen is not None:
                yield from self._rollout(deployment, seen)

    def _see(self, live: Manifest) -> None:
        live = self.cluster.read(live["kind"], live["metadata"]["namespace"], live["metadata"]["name"])
        generation = live["metadata"]["generation"]
        status = {**live.get("status", {}), "observedGeneration": generation}
        self.cluster.put({**live, "seen": live["spec"], "status": status})

    def _rollout(self, deployment: Manifest, seen: Manifest) -> Iterator[Move]:
        meta, wanted = deployment["metadata"], seen["replicas"]
        strategy = seen["strategy"]["rollingUpdate"]
        owned = [each for each in self.cluster.of_kind("ReplicaSet") if _is_owner(deployment, each)]
        mark = _digest(seen["template"])
        new = next((each for each in owned if each["metadata"]["name"].endswith(mark)), None)
        old = [each for each in owned if each is not new and each["spec"]["replicas"]]
        if new is None:
            yield Move(f"deployment {meta['name']} makes a replicaset", lambda: self._new_set(deployment, seen, mark))
            return
        active = [*old, new] if new["spec"]["replicas"] else old
        total = sum(each["spec"]["replicas"] for each in active)
        most = wanted + strategy["maxSurge"]
        scaling = any(each["desired"] != wanted for each in active)
        ready = sum(len(self._ready_pods(each)) for each in active)
        for each in (*old, new):
            name, replicas = each["metadata"]["name"], each["spec"]["replicas"]
            unready = replicas > len(self._ready_pods(each))
            spare = ready - 1 >= wanted - strategy["maxUnavailable"] or unready
            if each is new:
                shrinks = replicas > wanted
                grows = replicas < wanted and total < most
            else:
                shrinks = bool(replicas) and (total > most or wanted == 0 or (spare and not scaling))
                grows = scaling and total < most
            if shrinks:
                yield Move(f"replicaset {name} to {replicas - 1}", lambda e=each: self._scale(e, -1, wanted))  # type: ignore[misc]
            if grows:
                yield Move(
                    f"replicaset {name} to {replicas + 1}",
                    lambda e=each: self._scale(e, 1, wanted),  # type: ignore[misc]
                    fair=each is new,
                )
        if scaling and total <= most:
            yield Move(f"deployment {meta['name']} is scaled", lambda: self._scaled(active, wanted))
        yield from self._old_sets(deployment, owned, new)
        status = self._status_of(deployment, owned, new)
        if status != deployment.get("status"):
            yield Move(f"deployment {meta['name']} reports", lambda: self._put_status("Deployment", meta, status))

    def _old_sets(self, deployment: Manifest, owned: list[Manifest], new: Manifest) -> Iterator[Move]:
        """revisionHistoryLimit 0: an old ReplicaSet that is at zero, and seen to be, is removed."""
        if self._status_of(deployment, owned, new)["updatedReplicas"] == deployment["spec"]["replicas"]:
            for each in owned:
                meta = each["metadata"]
                if each is not new and not each["spec"]["replicas"] and each["seen"] == 0 and not self._active(each):
                    yield Move(
                        f"replicaset {meta['name']} is removed",
                        lambda m=meta: self.cluster.remove("ReplicaSet", m["namespace"], m["name"]),  # type: ignore[misc]
                    )

    def _status_of(self, deployment: Manifest, owned: list[Manifest], new: Manifest) -> Manifest:
        ready = sum(len(self._ready_pods(each)) for each in owned)
        return {
            **deployment.get("status", {}),
            "replicas": sum(len(self._active(each)) for each in owned),
            "updatedReplicas": len(self._active(new)),
            "readyReplicas": ready,
            "availableReplicas": ready,
        }

    def _new_set(self, deployment: Manifest, seen: Manifest, mark: str) -> None:
        meta = deployment["metadata"]
        name = f"{meta['name']}-{meta['uid'][:8]}-{mark}"  # on a collision of names the real controller takes another
        self.cluster.put(
            {
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "metadata": {
                    "name": name,
                    "namespace": meta["namespace"],
                    "labels": seen["template"]["metadata"]["labels"],
                    "ownerReferences": [_owner(deployment)],
                },
                "spec": {"replicas": 0, "template": seen["template"]},
                "status": {"replicas": 0},
                "seen": 0,
                "desired": seen["replicas"],
            }
        )

    def _scale(self, replica_set: Manifest, by: int, desired: int) -> None:
        meta = replica_set["metadata"]
        self.cluster.edit(
            "ReplicaSet",
            meta["namespace"],
            meta["name"],
            lambda old: {
                **old,
                "spec": {**old["spec"], "replicas": old["spec"]["replicas"] + by},
                "desired": desired if by < 0 or not old["spec"]["replicas"] else old["desired"],
            },
        )

    def _scaled(self, active: list[Manifest], wanted: int) -> None:
        for each in active:
            meta = each["metadata"]
            self.cluster.edit("ReplicaSet", meta["namespace"], meta["name"], lambda old: {**old, "desired": wanted})

    # ---- ReplicaSets

    def _replica_sets(self) -> Iterator[Move]:
        for each in self.cluster.of_kind("ReplicaSet"):
            meta = each["metadata"]
            if each["status"].get("observedGeneration") != meta["generation"]:
                yield Move(f"controller sees replicaset {meta['name']}", lambda e=each: self._see_set(e))  # type: ignore[misc]
            active = self._active(each)
            if len(active) < each["seen"] and self._admits(meta["namespace"], each["spec"]["template"]):
                yield Move(f"replicaset {meta['name']} makes a pod", lambda e=each: self._make(e))  # type: ignore[misc]
            if len(active) > each["seen"]:
                unready_first = sorted(active, key=lambda pod: pod["status"]["ready"])
                yield Move(
                    f"replicaset {meta['name']} removes a pod",
                    lambda p=unready_first[0]: self.terminate(p),  # type: ignore[misc]
                )
            if each["status"]["replicas"] != len(active):
                count = len(active)
                yield Move(
                    f"replicaset {meta['name']} reports",
                    lambda m=meta, n=count: self._status("ReplicaSet", m, replicas=n),  # type: ignore[misc]
                )

    def _see_set(self, replica_set: Manifest) -> None:
        meta = replica_set["metadata"]
        self.cluster.edit(
            "ReplicaSet",
            meta["namespace"],
            meta["name"],
            lambda live: {
                **live,
                "seen": live["spec"]["replicas"],
                "status": {**live["status"], "observedGeneration": live["metadata"]["generation"]},
            },
        )

    def _make(self, owner: Manifest) -> None:
        template, meta = owner["spec"]["template"], owner["metadata"]
        self._names += 1
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                **template["metadata"],
                "name": f"{meta['name']}-{self._names}",
                "namespace": meta["namespace"],
                "ownerReferences": [_owner(owner)],
            },
            "spec": template["spec"],
            "status": {"phase": "Running", "ready": False},
        }
        self.cluster.put(pod)
        self.on_pod(pod)

    # ---- Jobs

    def _jobs(self) -> Iterator[Move]:
        for job in self.cluster.of_kind("Job"):
            meta = job["metadata"]
            if any(each["type"] in {"Complete", "Failed"} for each in job.get("status", {}).get("conditions", [])):
                continue
            mine = [pod for pod in self.cluster.of_kind("Pod") if _is_owner(job, pod)]
            tries = job.get("status", {}).get("failed", 0)
            going = [pod for pod in mine if pod["status"]["phase"] not in ENDED]
            if any(pod["status"]["phase"] == "Succeeded" for pod in mine):
                yield Move(f"job {meta['name']} is complete", lambda m=meta: self._end_job(m, "Complete"))  # type: ignore[misc]
            elif not going and tries > job["spec"]["backoffLimit"]:
                yield Move(f"job {meta['name']} has failed", lambda m=meta: self._end_job(m, "Failed"))  # type: ignore[misc]
            elif not going:
                yield Move(f"job {meta['name']} makes a pod", lambda j=job, t=tries: self._try_job(j, t))  # type: ignore[misc]

    def _try_job(self, job: Manifest, tries: int) -> None:
        self._status("Job", job["metadata"], failed=tries + 1)
        self._make(job)

    def _end_job(self, meta: Manifest, how: str) -> None:
        self._status("Job", meta, conditions=[{"type": how, "status": "True"}])

    # ---- kubelets, evictions, people with kubectl

    def _pods(self) -> Iterator[Move]:
        for pod in self.cluster.of_kind("Pod"):
            name, meta, status = pod["metadata"]["name"], pod["metadata"], pod["status"]
            is_job = pod["spec"].get("restartPolicy") == "Never"
            if "deletionTimestamp" in meta:
                yield Move(
                    f"pod {name} is gone",
                    lambda m=meta: self.cluster.remove("Pod", m["namespace"], m["name"]),  # type: ignore[misc]
                )
                continue
            if status["phase"] in ENDED:
                continue
            if is_job:
                yield Move(f"pod {name} succeeds", lambda m=meta: self._status("Pod", m, phase="Succeeded"))  # type: ignore[misc]
            elif not status["ready"]:
                yield Move(f"pod {name} is ready", lambda m=meta: self._status("Pod", m, ready=True))  # type: ignore[misc]
            yield Move(f"pod {name} is evicted", lambda p=pod: self.terminate(p), fair=False)  # type: ignore[misc]
            yield Move(
                f"pod {name} fails",
                lambda m=meta: self._status("Pod", m, phase="Failed", ready=False),  # type: ignore[misc]
                fair=False,
            )

    def terminate(self, pod: Manifest) -> None:
        """The pod's grace period begins; it is there, and connected, until it is gone."""
        meta = pod["metadata"]
        self.cluster.edit(
            "Pod",
            meta["namespace"],
            meta["name"],
            lambda live: {
                **live,
                "metadata": {**live["metadata"], "deletionTimestamp": LATER, "deletionGracePeriodSeconds": 30},
            },
        )

    # ---- the garbage collector

    def _garbage(self) -> Iterator[Move]:
        uids = {each["metadata"]["uid"] for each in self.cluster.objects.values()}
        for (kind, namespace, name), each in list(self.cluster.objects.items()):
            owners = each["metadata"].get("ownerReferences", [])
            if not owners or any(owner["uid"] in uids for owner in owners):
                continue
            if kind != "Pod":
                yield Move(
                    f"garbage collector removes {kind} {name}",
                    lambda k=kind, s=namespace, n=name: self.cluster.remove(k, s, n),  # type: ignore[misc]
                )
            elif "deletionTimestamp" not in each["metadata"]:
                yield Move(f"garbage collector ends pod {name}", lambda p=each: self.terminate(p))  # type: ignore[misc]

    # ---- helpers

    def _active(self, owner: Manifest) -> list[Manifest]:
        """The pods that a ReplicaSet counts as its own: neither terminating nor ended."""
        return [
            pod
            for pod in self.cluster.of_kind("Pod", namespace=owner["metadata"]["namespace"])
            if _is_owner(owner, pod)
            and "deletionTimestamp" not in pod["metadata"]
            and pod["status"]["phase"] not in ENDED
        ]

    def _ready_pods(self, owner: Manifest) -> list[Manifest]:
        return [pod for pod in self._active(owner) if pod["status"]["ready"]]

    def _status(self, kind: str, meta: Manifest, **status: Any) -> None:
        self.cluster.edit_status(kind, meta["namespace"], meta["name"], **status)

    def _put_status(self, kind: str, meta: Manifest, status: Manifest) -> None:
        self.cluster.edit(kind, meta["namespace"], meta["name"], lambda live: {**live, "status": status})


def _owner(owner: Manifest) -> Manifest:
    meta = owner["metadata"]
    return {"kind": owner["kind"], "name": meta["name"], "uid": meta["uid"], "controller": True}


def _is_owner(owner: Manifest, each: Manifest) -> bool:
    uid = owner["metadata"]["uid"]
    return any(reference["uid"] == uid for reference in each["metadata"].get("ownerReferences", []))


def _digest(template: Manifest) -> str:
    return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:8]
