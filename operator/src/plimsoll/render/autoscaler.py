"""The HorizontalPodAutoscaler of a workload that has one; its maximum is what the service claims connections for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plimsoll.render.names import metadata

if TYPE_CHECKING:
    from plimsoll.api.fastapiservice import FastAPIService
    from plimsoll.api.meta import Manifest
    from plimsoll.api.workloads import Autoscaling


def autoscaler(service: FastAPIService, scaling: Autoscaling, *, part: str, target: str) -> Manifest:
    """The autoscaler of the Deployment ``target``, under its name."""
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": metadata(service, name=target, part=part),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
            "minReplicas": scaling.min_replicas,
            "maxReplicas": scaling.max_replicas,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {
                        "name": "cpu",
                        "target": {
                            "type": "Utilization",
                            "averageUtilization": scaling.target_cpu_utilization_percentage,
                        },
                    },
                }
            ],
        },
    }
