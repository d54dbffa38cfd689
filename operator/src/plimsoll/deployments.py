"""How far a Deployment has come, and of which rollout a pod is.

Part of ``observed``: read once from the manifests that the API server returned.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from plimsoll.render.names import COMPONENT

if TYPE_CHECKING:
    from collections.abc import Iterable

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

    template: str
    """What its new pods are made of; see ``template_of``."""

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
            template=template_of(manifest),
            conditions=conditions,
        )


def template_of(workload: Manifest) -> str:
    """A digest of the template of a Deployment or ReplicaSet, but for the label that tells ReplicaSets apart.

    By the same comparison the Deployment's controller knows which ReplicaSet is that of its present template.
    """
    template = workload["spec"].get("template", {})
    meta = template.get("metadata", {})
    labels = {name: value for name, value in (meta.get("labels") or {}).items() if name != "pod-template-hash"}
    text = json.dumps({**template, "metadata": {**meta, "labels": labels}}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def templates(objects: Iterable[Manifest]) -> dict[str, str]:
    """Uid of each ReplicaSet among ``objects`` → its template."""
    return {each["metadata"]["uid"]: template_of(each) for each in objects if each["kind"] == "ReplicaSet"}
