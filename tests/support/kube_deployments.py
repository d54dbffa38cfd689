"""The controllers of Deployments and ReplicaSets, for the model of a cluster in ``kube_world``.

They follow the real ones where the operator's promise depends on it: a ReplicaSet makes a pod for every one that is
missing and does not count terminating ones as there; a Deployment keeps the sum of its ReplicaSets at replicas +
maxSurge, takes old pods away only while enough are available, and when scaled amid a rollout may grow an old
ReplicaSet too (proportional scaling).
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from support.kube_base import KubeBase, Move, is_owner, owner_ref

if TYPE_CHECKING:
    from collections.abc import Iterator

    from plimsoll.api.meta import Manifest


class Deployments(KubeBase):
    """Both controllers."""

    # ---- Deployments

    def _deployments(self) -> Iterator[Move]:
        for deployment in self.cluster.of_kind("Deployment"):
            meta = deployment["metadata"]
            seen = deployment.get("seen")
            if deployment.get("status", {}).get("observedGeneration") != meta["generation"]:
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
        owned = [each for each in self.cluster.of_kind("ReplicaSet") if is_owner(deployment, each)]
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
        ready = sum(len(self.ready_pods(each)) for each in active)
        for each in (*old, new):
            name, replicas = each["metadata"]["name"], each["spec"]["replicas"]
            unready = replicas > len(self.ready_pods(each))
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
            yield Move(f"deployment {meta['name']} reports", lambda: self.put_status("Deployment", meta, status))

    def _old_sets(self, deployment: Manifest, owned: list[Manifest], new: Manifest) -> Iterator[Move]:
        """revisionHistoryLimit 0: an old ReplicaSet that is at zero, and seen to be, is removed."""
        if self._status_of(deployment, owned, new)["updatedReplicas"] == deployment["spec"]["replicas"]:
            for each in owned:
                meta = each["metadata"]
                if each is not new and not each["spec"]["replicas"] and each["seen"] == 0 and not self.active(each):
                    yield Move(
                        f"replicaset {meta['name']} is removed",
                        lambda m=meta: self.cluster.remove("ReplicaSet", m["namespace"], m["name"]),  # type: ignore[misc]
                    )

    def _status_of(self, deployment: Manifest, owned: list[Manifest], new: Manifest) -> Manifest:
        ready = sum(len(self.ready_pods(each)) for each in owned)
        return {
            **deployment.get("status", {}),
            "replicas": sum(len(self.active(each)) for each in owned),
            "updatedReplicas": len(self.active(new)),
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
                    "ownerReferences": [owner_ref(deployment)],
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
            active = self.active(each)
            if len(active) < each["seen"] and self.admits(meta["namespace"], each["spec"]["template"]):
                yield Move(f"replicaset {meta['name']} makes a pod", lambda e=each: self.make(e))  # type: ignore[misc]
            if len(active) > each["seen"]:
                unready_first = sorted(active, key=lambda pod: pod["status"]["ready"])
                yield Move(
                    f"replicaset {meta['name']} removes a pod",
                    lambda p=unready_first[0]: self.terminate(p, why="scaled"),  # type: ignore[misc]
                )
            if each["status"]["replicas"] != len(active):
                count = len(active)
                yield Move(
                    f"replicaset {meta['name']} reports",
                    lambda m=meta, n=count: self.set_status("ReplicaSet", m, replicas=n),  # type: ignore[misc]
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


def _digest(template: Manifest) -> str:
    return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:8]
