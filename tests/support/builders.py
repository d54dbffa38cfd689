"""Small builders: services, budgets, pods and children as the API server would return them, with one line per wish."""

from __future__ import annotations

from typing import Any

from plimsoll.api.connectionbudget import ConnectionBudget
from plimsoll.api.fastapiservice import FastAPIService
from plimsoll.api.meta import API_VERSION, Manifest

NOW = "2026-01-01T12:00:00Z"


def uid(number: int) -> str:
    """A uid whose first block differs from every other's, as random ones do."""
    return f"{number:08x}-0000-4000-8000-000000000000"


def service_manifest(
    name: str = "shop",
    *,
    namespace: str = "demo",
    number: int = 1,
    generation: int = 1,
    image: str = "shop:1",
    replicas: int = 2,
    workers: int = 1,
    pool: int = 5,
    overflow: int = 0,
    extra: int = 0,
    surge: int = 1,
    unavailable: int = 0,
    jobs: tuple[Manifest, ...] = (),
    migration: int | None = None,
    budget: str = "main",
    budget_namespace: str | None = None,
    status: Manifest | None = None,
    **spec: Any,
) -> Manifest:
    """A FastAPIService on the wire."""
    reference = {"name": budget} | ({"namespace": budget_namespace} if budget_namespace else {})
    return {
        "apiVersion": API_VERSION,
        "kind": "FastAPIService",
        "metadata": {"name": name, "namespace": namespace, "uid": uid(number), "generation": generation},
        "spec": {
            "image": image,
            "web": {"replicas": replicas, "workers": workers} | spec.pop("web", {}),
            "jobs": list(jobs),
            "database": {
                "budgetRef": reference,
                "secretRef": {"name": "shop-db"},
                "pool": {"size": pool, "maxOverflow": overflow},
                "extraPerProcess": extra,
            },
            "rollout": {"maxSurge": surge, "maxUnavailable": unavailable},
            **({"migrations": {"command": ["migrate"], "connections": migration}} if migration else {}),
            **spec,
        },
        "status": status or {"observedGeneration": -1},
    }


def a_service(name: str = "shop", **wishes: Any) -> FastAPIService:
    """A FastAPIService as the core sees it; the same wishes as ``service_manifest``."""
    return FastAPIService.model_validate(service_manifest(name, **wishes))


def group(name: str = "ocr", *, replicas: int = 1, processes: int = 1, connections: int = 2, **more: Any) -> Manifest:
    """One group of job workers."""
    return {
        "name": name,
        "command": ["work", name],
        "replicas": replicas,
        "processes": processes,
        "connectionsPerProcess": connections,
        **more,
    }


def claim(number: int, connections: int, name: str = "", *, namespace: str = "demo", per_pod: int = 0) -> Manifest:
    """One entry of a budget's ledger."""
    who = {"namespace": namespace, "name": name or f"s{number}", "uid": uid(number)}
    return who | {"connections": connections, "perPod": per_pod}


def budget_manifest(
    *,
    name: str = "main",
    namespace: str = "demo",
    generation: int = 1,
    usable: int | None = 91,
    claims: tuple[Manifest, ...] = (),
    observed: str = NOW,
    everyone: bool = False,
    status: Manifest | None = None,
    **spec: Any,
) -> Manifest:
    """A ConnectionBudget on the wire, read once; ``usable=None`` has never been read."""
    read: Manifest = {"observedGeneration": -1}
    if usable is not None:
        taken = sum(each["connections"] for each in claims)
        read = {
            "observedGeneration": generation,
            "server": {"maxConnections": usable + 9, "superuserReservedConnections": 3, "observedTime": observed},
            "capacity": usable,
            "usable": usable,
            "claimed": taken,
            "free": max(0, usable - taken),
        }
    return {
        "apiVersion": API_VERSION,
        "kind": "ConnectionBudget",
        "metadata": {"name": name, "namespace": namespace, "uid": f"budget-{name}", "generation": generation},
        "spec": {
            "secretRef": {"name": "shop-db"},
            "allowedNamespaces": {"from": "All" if everyone else "Same"},
            "margin": 0,  # most tests are about claims alone
            **spec,
        },
        "status": read | {"claims": list(claims)} | (status or {}),
    }


def a_budget(**wishes: Any) -> ConnectionBudget:
    """A ConnectionBudget as the core sees it; the same wishes as ``budget_manifest``."""
    return ConnectionBudget.model_validate(budget_manifest(**wishes))
