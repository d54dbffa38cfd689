"""The pod template that web pods, job workers and migrations share: the contract's environment, the security settings.

The environment of the contract comes before the user's own, so that ``$(DB_POOL_SIZE)`` expands in there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from plimsoll.render.names import CONNECTIONS, labels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from plimsoll.api.databases import AdditionalDatabase
    from plimsoll.api.environment import EnvFrom
    from plimsoll.api.fastapiservice import FastAPIService
    from plimsoll.api.meta import BudgetKey, Manifest
    from plimsoll.api.pods import PodSettings
    from plimsoll.budget.demand import PoolCost
    from plimsoll.units import Connections

_TMP = "tmp"


@dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    """What differs between the pods of one service."""

    part: str
    command: tuple[str, ...]
    connections: Mapping[BudgetKey, Connections]
    """What one pod can open, budget by budget; only those of which it can open some."""

    grace_seconds: int
    env: tuple[tuple[str, str], ...] = ()
    container: Manifest = field(default_factory=dict)
    """Further fields of the container: ports, probes, lifecycle, resources."""

    pod: Manifest = field(default_factory=dict)
    """Further fields of the pod: priority class, restart policy."""

    startup_seconds: int = 0
    """How long it may take to start."""

    databases: tuple[tuple[AdditionalDatabase, PoolCost], ...] = ()
    """The additional databases that it uses, and its pool of each."""


def pool_env(pool: PoolCost, *, processes: int) -> tuple[tuple[str, str], ...]:
    """The part of the contract that the arithmetic rests on."""
    return (
        ("DB_POOL_SIZE", str(pool.size)),
        ("DB_MAX_OVERFLOW", str(pool.overflow)),
        ("WEB_CONCURRENCY", str(processes)),
    )


def _environment(service: FastAPIService, process: Process) -> list[Manifest]:
    secret = service.spec.database.secret_ref
    shutdown = service.spec.shutdown
    fixed = (
        *process.env,
        ("PLIMSOLL_DRAIN_SECONDS", str(shutdown.drain_seconds)),
        ("PLIMSOLL_REQUEST_DEADLINE_SECONDS", str(shutdown.request_deadline_seconds)),
        ("PLIMSOLL_JOB_DEADLINE_SECONDS", str(shutdown.job_deadline_seconds)),
        ("PLIMSOLL_LIFESPAN_SECONDS", str(shutdown.lifespan_seconds)),
    )
    return [
        {"name": "DATABASE_URL", "valueFrom": {"secretKeyRef": {"name": secret.name, "key": secret.key}}},
        {"name": "PGAPPNAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        *({"name": name, "value": value} for name, value in fixed),
        *(variable for database, pool in process.databases for variable in _of_database(database, pool)),
        *({"name": variable.name, "value": variable.value} for variable in service.spec.env),
    ]


def _of_database(database: AdditionalDatabase, pool: PoolCost) -> tuple[Manifest, ...]:
    """The variables of one additional database, under its own name."""
    prefix, secret = database.name.upper().replace("-", "_"), database.secret_ref
    return (
        {
            "name": f"{prefix}_DATABASE_URL",
            "valueFrom": {"secretKeyRef": {"name": secret.name, "key": secret.key}},
        },
        {"name": f"{prefix}_DB_POOL_SIZE", "value": str(pool.size)},
        {"name": f"{prefix}_DB_MAX_OVERFLOW", "value": str(pool.overflow)},
    )


def _env_from(source: EnvFrom) -> Manifest:
    entry: Manifest = source.model_dump(by_alias=True, exclude_none=True)
    return entry if source.prefix else {key: value for key, value in entry.items() if key != "prefix"}


def _settings(settings: PodSettings) -> Manifest:
    """What is set of them, under the names that they have in a pod.

    The service account is named in any case: a pod has two fields for it, and one that is no longer applied would come
    back from the other.
    """
    wire: Manifest = settings.model_dump(by_alias=True, exclude_none=True, mode="json")
    return {key: value for key, value in wire.items() if value}


def template(service: FastAPIService, process: Process) -> Manifest:
    """The pod template of ``process``; fits the restricted Pod Security Standard."""
    container: Manifest = {
        "name": "app",
        "image": service.spec.image,
        "imagePullPolicy": service.spec.image_pull_policy.value,
        "env": _environment(service, process),
        **({"envFrom": [_env_from(each) for each in service.spec.env_from]} if service.spec.env_from else {}),
        # What a process printed last before it failed is then in the pod's status: no right on logs is needed.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": _TMP, "mountPath": "/tmp"}],  # noqa: S108 - the pod's own, gone with it
        **process.container,
    }
    if process.command:
        container["args"] = list(process.command)
    return {
        "metadata": {
            "labels": labels(service, process.part),
            "annotations": {
                CONNECTIONS: ",".join(f"{budget}={count}" for budget, count in sorted(process.connections.items()))
            },
        },
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,  # or a Service called "x" would set X_PORT and the like for every pod
            "containers": [container],
            "securityContext": {
                "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "terminationGracePeriodSeconds": process.grace_seconds,
            "volumes": [{"name": _TMP, "emptyDir": {}}],
            **_settings(service.spec.pod),
            **process.pod,
        },
    }
