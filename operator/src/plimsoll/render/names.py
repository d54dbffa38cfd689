"""Names, labels and owners of everything that belongs to a FastAPIService.

Used by every builder, and by the shell to find children and pods again. Names are derived, never random.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from plimsoll.api.meta import API_VERSION, GROUP
from plimsoll.budget.demand import WEB

if TYPE_CHECKING:
    from plimsoll.api.fastapiservice import FastAPIService
    from plimsoll.api.meta import Manifest

MANAGED_BY: Final = "app.kubernetes.io/managed-by"
MANAGER: Final = "plimsoll"
FIELD_MANAGER: Final = "plimsoll-operator"
"""Under this name the operator owns the fields that it applies."""

COMPONENT: Final = "app.kubernetes.io/component"
SERVICE: Final = f"{GROUP}/service"
SERVICE_NAMESPACE: Final = f"{GROUP}/namespace"
SERVICE_UID: Final = f"{GROUP}/uid"
CONNECTIONS: Final = f"{GROUP}/connections"
"""Annotation of every pod: the connections that it can open, by budget: ``demo/main=5,demo/orders=2``. The ledger can
be rebuilt from it.
"""

PODS: Final = f"{GROUP}/pods"
"""Annotation of a guard: the pods that its workload may have, of which some may be counted elsewhere."""

CONFIG: Final = f"{GROUP}/config"
"""Annotation of every pod of a workload: the versions of the Secrets and ConfigMaps that it was started with."""

RENDERED: Final = f"{GROUP}/rendered"
"""Annotation of every child: digest of the manifest that it was applied from."""

_LIMIT: Final = 63


def child(service: str, suffix: str) -> str:
    """``service-suffix``, cut and marked with a digest where it would be too long for a label."""
    name = f"{service}-{suffix}"
    if len(name) <= _LIMIT:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: _LIMIT - 9]}-{digest}"


def component(group: str | None) -> str:
    """Value of the component label: ``web``, or ``jobs-NAME`` for a group of job workers."""
    return WEB if group is None else f"jobs-{group}"


def selector(service: FastAPIService, part: str) -> dict[str, str]:
    """The labels by which a workload selects its pods; immutable in a Deployment, so they are few."""
    return {SERVICE: service.metadata.name, COMPONENT: part}


def labels(service: FastAPIService, part: str) -> dict[str, str]:
    """All labels of a child."""
    return {
        "app.kubernetes.io/name": service.metadata.name[:_LIMIT],
        MANAGED_BY: MANAGER,
        SERVICE_UID: service.metadata.uid,
        **selector(service, part),
    }


def metadata(service: FastAPIService, *, name: str, part: str) -> Manifest:
    """Metadata of a child in the service's namespace, owned by it, so that it goes when the service goes."""
    return {
        "name": name,
        "namespace": service.metadata.namespace,
        "labels": labels(service, part),
        "ownerReferences": [
            {
                "apiVersion": API_VERSION,
                "kind": "FastAPIService",
                "name": service.metadata.name,
                "uid": service.metadata.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }
