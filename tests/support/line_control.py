"""The negative control of the line: the same services as plain Deployments, with neither guard nor ledger.

They are what the operator itself has rendered (same pods, probes, deadlines and autoscaler), without its labels, its
priority classes, its quotas and itself. Rolled out on top of each other they go over what was granted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from support.line_play import BUSY_PERCENT
from support.stage import SERVICE

if TYPE_CHECKING:
    from support.kube import Manifest
    from support.line_witness import BackendWitness
    from support.line_world import World

ROLLOUTS = 2


def plain(deployment: Manifest, *, replicas: int) -> Manifest:
    """A Deployment as somebody would write it by hand."""
    labels = {"app": deployment["metadata"]["name"]}
    template = deployment["spec"]["template"]
    pod = {
        key: value
        for key, value in template["spec"].items()
        if key not in {"priorityClassName", "priority", "preemptionPolicy"}
    }
    spec: dict[str, Any] = {**deployment["spec"], "replicas": replicas, "selector": {"matchLabels": labels}}
    return _named(deployment, {**spec, "template": {"metadata": {"labels": labels}, "spec": pod}})


def _named(found: Manifest, spec: Manifest) -> Manifest:
    where = {key: found["metadata"][key] for key in ("name", "namespace")}
    return {"apiVersion": found["apiVersion"], "kind": found["kind"], "metadata": where, "spec": spec}


class Control:
    """The same services without Plimsoll."""

    def __init__(self, world: World, backends: BackendWitness) -> None:
        self.world, self.backends = world, backends
        self._revision = 0

    def take_over(self) -> None:
        """The operator's services go, plain ones of the same shape come, an autoscaled one at its maximum already."""
        scalers = [
            each for each in self.world.kube.list("hpa") if each["metadata"]["namespace"] in self.world.namespaces
        ]
        most = {each["metadata"]["name"]: each["spec"]["maxReplicas"] for each in scalers}
        manifests = [
            plain(each, replicas=most.get(each["metadata"]["name"], each["spec"]["replicas"]))
            for each in self.world.deployments()
        ]
        manifests += [_named(each, each["spec"]) for each in scalers]
        self.world.switch(burn=BUSY_PERCENT)
        for tenant in self.world.tenants.values():
            self.world.kube.delete(SERVICE, tenant.name, namespace=tenant.namespace)
        self.world.told("nothing of them is left", lambda: not self.world.pods() and not self.world.deployments())
        self.world.kube.apply(*manifests)
        self.world.told("the plain ones are as full", lambda: self.backends.now.total == self.world.at_rest)

    def stacked(self, *, enough: int) -> None:
        """Rollouts on top of rollouts, until more than ``enough`` connections are open at once or all are over."""
        self.world.switch(linger="true")
        try:
            for _ in range(ROLLOUTS):
                self._roll_all()
                self.world.told("they roll out", lambda: self.world.rolling or self._seen(enough), every=0.1)
            self.world.told("over the line, or all over", lambda: self._seen(enough) or self._over(), every=0.1)
        finally:
            self.world.switch(linger="false")

    def _seen(self, enough: int) -> bool:
        return self.backends.now.total > enough

    def _roll_all(self) -> None:
        self._revision += 1
        stamp = {"spec": {"template": {"metadata": {"annotations": {"revision": f"plain-{self._revision}"}}}}}
        for each in self.world.deployments():
            name, namespace = each["metadata"]["name"], each["metadata"]["namespace"]
            self.world.kube.patch("deployment", name, stamp, namespace=namespace)

    def _over(self) -> bool:
        return all(
            each["status"].get("updatedReplicas") == each["status"].get("replicas") for each in self.world.deployments()
        )
