"""HorizontalPodAutoscalers, for the model of a cluster in ``kube_world``.

One sets the replicas of its Deployment as a field manager of its own, to anything within the bounds that it has *seen*:
the load is whatever a schedule says. A Deployment of no replicas it leaves alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.kube_base import KubeBase, Move

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from plimsoll.api.meta import Manifest

MANAGER = "kube-controller-manager"


class Autoscalers(KubeBase):
    """The controller."""

    may_scale: Callable[[Manifest, int], bool] = staticmethod(lambda _deployment, _replicas: True)
    """Whether a Deployment may be scaled to so many now: a test may have rules for that."""

    def _autoscalers(self) -> Iterator[Move]:
        for scaler in self.cluster.of_kind("HorizontalPodAutoscaler"):
            meta = scaler["metadata"]
            if scaler.get("seen") != scaler["spec"]:
                yield Move(f"controller sees autoscaler {meta['name']}", lambda m=meta: self._see_scaler(m))  # type: ignore[misc]
            if (bounds := scaler.get("seen")) is None:
                continue
            target = ("Deployment", meta["namespace"], bounds["scaleTargetRef"]["name"])
            deployment = self.cluster.objects.get(target)
            if deployment is None or not deployment["spec"]["replicas"]:
                continue
            fewest, most = bounds["minReplicas"], bounds["maxReplicas"]
            now = deployment["spec"]["replicas"]
            for replicas in range(fewest, most + 1):
                nearest = min(max(now, fewest), most)
                if replicas != now and self.may_scale(deployment, replicas):
                    yield Move(
                        f"autoscaler sets {meta['name']} to {replicas}",
                        lambda d=deployment, n=replicas: self._set_replicas(d, n),  # type: ignore[misc]
                        fair=replicas == nearest,
                    )

    def _see_scaler(self, meta: Manifest) -> None:
        self.cluster.edit(
            "HorizontalPodAutoscaler", meta["namespace"], meta["name"], lambda live: {**live, "seen": live["spec"]}
        )

    def _set_replicas(self, deployment: Manifest, replicas: int) -> None:
        meta = deployment["metadata"]
        mine = {"manager": MANAGER, "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
        self.cluster.edit(
            "Deployment",
            meta["namespace"],
            meta["name"],
            lambda live: {
                **live,
                "metadata": {**live["metadata"], "managedFields": [mine]},
                "spec": {**live["spec"], "replicas": replicas},
            },
        )
