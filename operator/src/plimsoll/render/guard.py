"""The guard: what keeps a workload at replicas + maxSurge pods, terminating ones included, with the operator down.

A PriorityClass of the workload's own marks its pods; a ResourceQuota scoped to that class counts them. The API server
charges a pod to a quota from its creation until it is gone, so a new pod is refused while an old one still terminates.
The class has value 0 and never preempts: it marks, it does not rank.

Neither has an owner: the garbage collector would take a guard away before what it guards, in whatever order it pleases.
The operator deletes both, found by their labels, when nothing is left that could make pods.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plimsoll.render.names import MANAGED_BY, MANAGER, PODS, SERVICE, SERVICE_NAMESPACE, SERVICE_UID, labels

if TYPE_CHECKING:
    from plimsoll.api.fastapiservice import FastAPIService
    from plimsoll.api.meta import Manifest


def priority_class_name(service: FastAPIService, part: str) -> str:
    """Cluster-wide name of the workload's PriorityClass.

    The uid's first block keeps apart what a hyphen could confuse: namespace ``a-b`` with ``c``, ``a`` with ``b-c``.
    """
    mark = service.metadata.uid.split("-", 1)[0]
    return f"plimsoll-{service.metadata.namespace}-{service.metadata.name}-{part}"[:200] + f"-{mark}"


def priority_class(service: FastAPIService, part: str) -> Manifest:
    """The PriorityClass."""
    return {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {
            "name": priority_class_name(service, part),
            "labels": {
                MANAGED_BY: MANAGER,
                SERVICE_NAMESPACE: service.metadata.namespace,
                SERVICE: service.metadata.name,
                SERVICE_UID: service.metadata.uid,
            },
        },
        "value": 0,
        "preemptionPolicy": "Never",
        "description": "Marks the pods of one workload for its ResourceQuota; ranks nothing.",
    }


def quota_name(service: FastAPIService, part: str) -> str:
    """Name of the workload's ResourceQuota: its class's, so that a service made anew spares the old one's guard."""
    return priority_class_name(service, part)


def quota(service: FastAPIService, part: str, *, pods: int, full: int) -> Manifest:
    """The ResourceQuota that allows ``pods`` pods of the workload, terminating ones included.

    It is lower than ``full``, what the workload may have, by pods that the API server is about to forget.
    """
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {
            "name": quota_name(service, part),
            "namespace": service.metadata.namespace,
            "labels": labels(service, part),
            "annotations": {PODS: str(full)},
        },
        "spec": {
            "hard": {"pods": str(pods)},
            "scopeSelector": {
                "matchExpressions": [
                    {"scopeName": "PriorityClass", "operator": "In", "values": [priority_class_name(service, part)]}
                ]
            },
        },
    }
