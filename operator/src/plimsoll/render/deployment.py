"""Deployments: one for the web pods, one for each group of job workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plimsoll.budget.demand import WEB, PodCost, PoolCost, job_cost, processes, web_cost
from plimsoll.render.guard import priority_class_name
from plimsoll.render.names import child, component, metadata, selector
from plimsoll.render.pod import Process, pool_env, template
from plimsoll.shutdown import job_grace_seconds, web_grace_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from plimsoll.api.fastapiservice import FastAPIService
    from plimsoll.api.meta import BudgetKey, Manifest
    from plimsoll.api.workloads import JobGroup
    from plimsoll.units import Connections


def _deployment(service: FastAPIService, *, name: str, replicas: int, process: Process) -> Manifest:
    rollout = service.spec.rollout
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(service, name=name, part=process.part),
        "spec": {
            "replicas": replicas,
            **({"minReadySeconds": rollout.min_ready_seconds} if rollout.min_ready_seconds else {}),
            # An old ReplicaSet is a shape that may cost more than the claim, one `kubectl rollout undo` away.
            "revisionHistoryLimit": 0,
            # Under the guard a new pod waits until an old one is gone: its grace period belongs to normal progress.
            "progressDeadlineSeconds": 600 + process.grace_seconds * max(1, replicas),
            "selector": {"matchLabels": selector(service, process.part)},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": rollout.max_surge, "maxUnavailable": rollout.max_unavailable},
            },
            "template": template(service, process),
        },
    }


def _probe(path: str, *, period: int, failures: int) -> Manifest:
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period,
        "timeoutSeconds": 3,
        "failureThreshold": failures,
    }


def web(service: FastAPIService) -> Manifest:
    """The Deployment of the web pods."""
    spec = service.spec.web
    pool = service.spec.database.pool
    container: Manifest = {
        "ports": [{"name": "http", "containerPort": spec.port}],
        "startupProbe": _probe(spec.liveness_path, period=1, failures=120),
        "livenessProbe": _probe(spec.liveness_path, period=10, failures=6),
        "readinessProbe": _probe(spec.readiness_path, period=2, failures=3),
    }
    if spec.resources:
        container["resources"] = spec.resources
    if service.spec.shutdown.pre_stop_seconds:
        container["lifecycle"] = {"preStop": {"sleep": {"seconds": service.spec.shutdown.pre_stop_seconds}}}
    process = Process(
        part=component(None),
        command=spec.command,
        connections=_by_budget(service, lambda budget: web_cost(service, budget)),
        grace_seconds=web_grace_seconds(service.spec.shutdown),
        env=(
            *pool_env(PoolCost(size=pool.size, overflow=pool.max_overflow), processes=processes(spec)),
            ("PORT", str(spec.port)),
        ),
        container=container,
        pod={"priorityClassName": priority_class_name(service, component(None))},
        databases=tuple(
            (each, PoolCost(size=each.pool_size, overflow=each.max_overflow))
            for each in service.spec.additional_databases
        ),
    )
    return _deployment(service, name=child(service.metadata.name, WEB), replicas=spec.replicas, process=process)


def jobs(service: FastAPIService, group: JobGroup) -> Manifest:
    """The Deployment of one group of job workers."""
    part = component(group.name)
    process = Process(
        part=part,
        command=group.command,
        connections=_by_budget(service, lambda budget: job_cost(service, group, budget)),
        grace_seconds=job_grace_seconds(service.spec.shutdown),
        env=pool_env(PoolCost(size=group.connections_per_process), processes=group.processes),
        container={"resources": group.resources} if group.resources else {},
        pod={"priorityClassName": priority_class_name(service, part)},
        databases=tuple(
            (each, PoolCost(size=each.job_connections_per_process))
            for each in service.spec.additional_databases
            if each.job_connections_per_process
        ),
    )
    return _deployment(service, name=child(service.metadata.name, part), replicas=group.replicas, process=process)


def scaled_by_others(deployment: Manifest, *, replicas: int | None) -> Manifest:
    """The Deployment with another number of replicas, or (``None``) with nothing to say about it."""
    spec = {key: value for key, value in deployment["spec"].items() if key != "replicas"}
    return {**deployment, "spec": spec if replicas is None else {"replicas": replicas, **spec}}


def unguarded(deployment: Manifest) -> Manifest:
    """The Deployment without a PriorityClass, for an operator that may not make one."""
    template = deployment["spec"]["template"]
    pod = {key: value for key, value in template["spec"].items() if key != "priorityClassName"}
    return {**deployment, "spec": {**deployment["spec"], "template": {**template, "spec": pod}}}


def _by_budget(service: FastAPIService, cost: Callable[[BudgetKey], PodCost]) -> dict[BudgetKey, Connections]:
    costs = {budget: cost(budget).connections for budget in service.budget_keys}
    return {budget: connections for budget, connections in costs.items() if connections}
