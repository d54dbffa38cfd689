"""How far a Deployment has come, and of which rollout a pod is.

Part of ``observed``: read once from the manifests that the API server returned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from plimsoll.render.names import COMPONENT, CONFIG, CONNECTIONS

if TYPE_CHECKING:
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
    """The controller's own words where it has given up waiting for the latest spec; empty otherwise."""

    shape: str
    """What its new pods are made of; see ``shape_of``."""

    conditions: Manifest
    """Its conditions, by type."""

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
            stuck=progressing.get("message", "")
            if seen and progressing.get("reason") == "ProgressDeadlineExceeded"
            else "",
            shape=shape_of(spec.get("template", {})),
            conditions=conditions,
        )


def shape_of(pod: Manifest) -> str:
    """By what a pod, or a template, tells one rollout from the next: enough to know the pods of an earlier one."""
    annotations = pod.get("metadata", {}).get("annotations", {})
    containers = [(each.get("image"), each.get("args")) for each in pod.get("spec", {}).get("containers", [])]
    return repr((annotations.get(CONNECTIONS), annotations.get(CONFIG), containers[:1]))
