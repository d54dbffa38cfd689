"""Who lives on the line: five services in two namespaces that use up one PostgreSQL server with 60 connections.

    60 max_connections − 3 for superusers − 1 reserve − 1 line-sampler − 1 operator − 3 margin = 51 usable
    wide     10 + 1 surge pods × 1                                     11
    elastic  1 to 3, by their CPU, + 1 pods × 3                        12
    mixed    2 + 1 pods × 2, and 1 + 1 workers × 3                     12
    prefork  3 + 1 pods × 2 processes × 1                               8
    bursty   3 + 1 pods × (1 pool + 1 overflow)                         8      51 in all

Every pod uses all it was given from its start to its end (``saturating``), as a role that has no way to the slots of
superusers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from support.stage import example, pick

if TYPE_CHECKING:
    from support.kube import Manifest
    from support.stage import Images

MAX_CONNECTIONS = 60
USABLE = 51
LABEL = "plimsoll.dev/line"
SAMPLER = "line-sampler"


SERVE = ["python3", "-m", "plimsoll_runtime", "serve", "saturating:app"]


@dataclass(frozen=True)
class Tenant:
    """One of the five services."""

    name: str
    namespace: str
    spec: Manifest
    granted: int
    at_rest: int
    """What its pods have open while nothing happens, an autoscaler at its maximum."""


def tenants(namespace: str) -> tuple[Tenant, ...]:
    """The five, in the two namespaces that belong to the server's."""
    one, other = f"{namespace}-a", f"{namespace}-b"
    burns = {"cpu": "50m"}
    scaling = {"minReplicas": 1, "maxReplicas": 3, "targetCpuUtilizationPercentage": 80}
    worker = {
        "name": "hold",
        "command": ["python3", "-m", "saturating"],
        "replicas": 1,
        "connectionsPerProcess": 3,
    }
    elastic = {"workers": 1, "autoscaling": scaling, "resources": {"requests": burns}}
    return (
        Tenant("wide", one, _spec({"replicas": 10, "workers": 1}, {"size": 1}), 11, 10),
        Tenant("elastic", one, _spec(elastic, {"size": 3}, env=[{"name": "BURNS", "value": "yes"}]), 12, 9),
        Tenant("mixed", other, _spec({"replicas": 2, "workers": 1}, {"size": 2}, jobs=[worker]), 12, 7),
        Tenant("prefork", other, _spec({"replicas": 3, "workers": 2}, {"size": 1}), 8, 6),
        Tenant("bursty", other, _spec({"replicas": 3, "workers": 1}, {"size": 1, "maxOverflow": 1}), 8, 6),
    )


def _spec(web: Manifest, pool: Manifest, **more: Any) -> Manifest:
    return {
        "web": {**web, "command": SERVE, "readinessPath": "/saturated"},
        "database": {"secretRef": {"name": "line"}, "pool": pool},
        "shutdown": {"drainSeconds": 2, "requestDeadlineSeconds": 5, "jobDeadlineSeconds": 30, "lifespanSeconds": 30},
        **more,
    }


def budget_spec(manifest: Manifest) -> None:
    """The budget: services of the namespaces that carry the label, one line for the sampler."""
    manifest["spec"] |= {
        "reserve": 1,
        "clients": [{"name": SAMPLER, "connections": 1}],
        "allowedNamespaces": {
            "from": "Selector",
            "selector": {"matchLabels": {LABEL: manifest["metadata"]["namespace"]}},
        },
    }


def server(namespace: str, images: Images) -> list[Manifest]:
    """The quickstart's server and budget, smaller, and with the code of every error in its log."""
    manifests = example("quickstart.yaml", namespace=namespace, images=images)
    manifests.remove(pick(manifests, "FastAPIService"))
    (container,) = pick(manifests, "StatefulSet")["spec"]["template"]["spec"]["containers"]
    container["args"] = ["-c", f"max_connections={MAX_CONNECTIONS}", "-c", "log_line_prefix=%m [%p] %a %e "]
    budget_spec(pick(manifests, "ConnectionBudget"))
    return manifests


def neighbourhood(namespace: str) -> list[Manifest]:
    """The tenants' namespaces, each with the Secret of a role that is nobody special."""
    found: list[Manifest] = []
    for name in sorted({each.namespace for each in tenants(namespace)}):
        labels = {LABEL: namespace, "pod-security.kubernetes.io/enforce": "restricted"}
        url = f"postgresql://tenant:tenant@postgres.{namespace}.svc:5432/captions"
        found += [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}},
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "line", "namespace": name},
                "stringData": {"DATABASE_URL": url},
            },
        ]
    return found


def service(tenant: Tenant, *, server: str, image: str) -> Manifest:
    """A tenant's FastAPIService."""
    database = {**tenant.spec["database"], "budgetRef": {"name": "main", "namespace": server}}
    return {
        "apiVersion": "plimsoll.dev/v1alpha1",
        "kind": "FastAPIService",
        "metadata": {"name": tenant.name, "namespace": tenant.namespace},
        "spec": {"image": image, **tenant.spec, "database": database},
    }
