"""What rollouts are measured against: a service without a part of what makes them silent, and another one's rollouts.

no drain             the process stops at SIGTERM, as every server does by itself
preStop sleep alone  what is usually advised; connections that are kept alive are cut at its end
short grace          a plain Deployment whose grace period is shorter than its requests; the operator makes none such
neighbour            a plain Deployment that nobody asks anything: what its rollouts cost the service, any pods' would
"""

from __future__ import annotations

import copy
import uuid
from typing import TYPE_CHECKING, Final

from support.rolling_world import SHUTDOWN, Rolling

if TYPE_CHECKING:
    from support.kube import Manifest

NO_DRAIN: Final = {**SHUTDOWN, "drainSeconds": 0}
PRE_STOP_ALONE: Final = {**SHUTDOWN, "drainSeconds": 0, "preStopSeconds": SHUTDOWN["drainSeconds"]}
SHORT_GRACE_SECONDS: Final = 6
"""Longer than the drain, and not as long as a slow request takes."""


class Plain(Rolling):
    """The same pods by hand, under a name of their own."""

    name = "plain"

    @property
    def targets(self) -> dict[str, str]:
        """There is no proxy in front of it."""
        return {"direct": f"{self.name}.{self.stage.namespace}.svc"}

    @classmethod
    def beside(cls, world: Rolling) -> Plain:
        """Made from the Deployment that the operator has made; the connections are claimed by nobody."""
        stage = world.stage
        labels = {"app.kubernetes.io/name": cls.name}
        (web,) = (each for name, each in stage.children("deployments").items() if name.endswith("-web"))
        spec = copy.deepcopy(web["spec"])
        spec["selector"] = {"matchLabels": labels}
        template = spec["template"]
        template["metadata"] = {"labels": labels}
        template["spec"].pop("priorityClassName")
        template["spec"].pop("topologySpreadConstraints", None)
        cls.change(template["spec"])
        meta = {"name": cls.name, "namespace": stage.namespace}
        ports = [{"port": 80, "targetPort": "http"}]
        stage.kube.apply(
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec},
            {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"selector": labels, "ports": ports}},
        )
        plain = cls(stage, world.pace, world.home, world.other)
        plain.settled()
        return plain

    @classmethod
    def change(cls, pod: Manifest) -> None:
        """What is not as the operator makes it."""

    def roll(self) -> None:
        """An edit of its pods by hand."""
        change: Manifest = {"spec": {"template": {"metadata": {"annotations": {"revision": uuid.uuid4().hex}}}}}
        self.stage.kube.patch("deployment", self.name, change, namespace=self.stage.namespace)
        self.settled()

    def settled(self) -> None:
        """Waits until all its pods are of the latest template."""
        command = ("rollout", "status", f"deployment/{self.name}", f"--namespace={self.stage.namespace}")
        self.stage.kube.run(*command, "--timeout=240s", seconds=250)


class ShortGrace(Plain):
    """With too short a grace period."""

    name = "short-grace"

    @classmethod
    def change(cls, pod: Manifest) -> None:
        """Shorter than its requests."""
        pod["terminationGracePeriodSeconds"] = SHORT_GRACE_SECONDS


class Neighbour(Plain):
    """On the same nodes, and without a request."""

    name = "neighbour"
