"""The PodDisruptionBudget of a workload: how many of its pods a node drain may take at a time.

As many as a rollout may take, and never none: a budget of 0 would block a drain for ever, and one pod at a time is what
a rollout with a surge comes down to as well. So a workload of a single pod is away for a moment when its node is
drained; who cannot have that needs two.

Job workers have one too. They hand back what they cannot finish, so that an eviction loses nothing; but a drain that
takes a whole group at once stops its work, and hands all of it back at once.

``AlwaysAllow``: a pod that is not ready serves nobody. Without that, pods that crash would block a drain for as long as
they crash.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plimsoll.render.names import metadata, selector

if TYPE_CHECKING:
    from plimsoll.api.fastapiservice import FastAPIService
    from plimsoll.api.meta import Manifest


def disruption_budget(service: FastAPIService, *, part: str, target: str) -> Manifest:
    """The PodDisruptionBudget of the Deployment ``target``, under its name."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(service, name=target, part=part),
        "spec": {
            "maxUnavailable": max(1, service.spec.rollout.max_unavailable),
            "selector": {"matchLabels": selector(service, part)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
