"""What each part of a silent rollout is good for: the same service without it, which must fail under the same load.

no drain             the process stops at SIGTERM, as every server does by itself
preStop sleep alone  what is usually advised; connections that are kept alive are cut at its end
short grace          a plain Deployment whose grace period is shorter than its requests; the operator makes none such
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


class ShortGrace(Rolling):
    """The same pods by hand, with too short a grace period."""

    @property
    def targets(self) -> dict[str, str]:
        """There is no proxy in front of it."""
        return {"direct": f"plain.{self.stage.namespace}.svc"}

    @classmethod
    def beside(cls, world: Rolling) -> ShortGrace:
        """Made from the Deployment that the operator has made, on a fresh database of connections."""
        stage = world.stage
        labels = {"app.kubernetes.io/name": "plain"}
        (web,) = (each for name, each in stage.children("deployments").items() if name.endswith("-web"))
        spec = copy.deepcopy(web["spec"])
        spec["selector"] = {"matchLabels": labels}
        template = spec["template"]
        template["metadata"] = {"labels": labels}
        template["spec"].pop("priorityClassName")
        template["spec"].pop("topologySpreadConstraints", None)
        template["spec"]["terminationGracePeriodSeconds"] = SHORT_GRACE_SECONDS
        meta = {"name": "plain", "namespace": stage.namespace}
        ports = [{"port": 80, "targetPort": "http"}]
        stage.kube.apply(
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec},
            {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"selector": labels, "ports": ports}},
        )
        plain = cls(stage, world.pace, world.home, world.other)
        plain.settled()
        return plain

    def roll(self) -> None:
        """An edit of its pods by hand."""
        change: Manifest = {"spec": {"template": {"metadata": {"annotations": {"revision": uuid.uuid4().hex}}}}}
        self.stage.kube.patch("deployment", "plain", change, namespace=self.stage.namespace)
        self.settled()

    def settled(self) -> None:
        """Waits until all its pods are of the latest template."""
        command = ("rollout", "status", "deployment/plain", f"--namespace={self.stage.namespace}", "--timeout=240s")
        self.stage.kube.run(*command, seconds=250)
