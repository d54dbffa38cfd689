"""Deployments: one for the web pods, one for each group of job workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plimsoll.budget.demand import WEB, PodCost, PoolCost, job_cost, processes, web_cost
from plimsoll.render.guard import priority_class_name
from plimsoll.render.names import CONFIG, child, component, metadata, selector
from plimsoll.render.pod import Process, pool_env, template
from plimsoll.shutdown import job_grace_seconds, web_grace_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from plimsoll.api.fastapiservice import FastAPIService
    from plimsoll.api.meta import BudgetKey, Manifest
    from plimsoll.api.workloads import JobGroup, Web
    from plimsoll.units import Connections


def _deployment(service: FastAPIService, workload: Web | JobGroup, *, name: str, process: Process) -> Manifest:
    rollout = service.spec.rollout
    most = workload.autoscaling.max_replicas if workload.autoscaling else workload.replicas
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(service, name=name, part=process.part),
        "spec": {
            "replicas": workload.replicas,
            **({"minReadySeconds": rollout.min_ready_seconds} if rollout.min_ready_seconds else {}),
            # An old ReplicaSet is a shape that may cost more than the claim, one `kubectl rollout undo` away.
            "revisionHistoryLimit": 0,
            # Under the guard a new pod waits until an old one is gone: its grace period belongs to normal progress, as
            # do a slow start and the time for which a pod has to stay ready.
            "progressDeadlineSeconds": 600
            + process.startup_seconds
            + rollout.min_ready_seconds
            + process.grace_seconds * max(1, most),
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
        "startupProbe": _probe(spec.liveness_path, period=1, failures=spec.startup_seconds),
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
        pod=_placed(service, component(None)),
        startup_seconds=spec.startup_seconds,
        databases=tuple(
            (each, PoolCost(size=each.pool_size, overflow=each.max_overflow))
            for each in service.spec.additional_databases
        ),
    )
    return _deployment(service, spec, name=child(service.metadata.name, WEB), process=process)


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
        pod=_placed(service, part),
        databases=tuple(
            (each, PoolCost(size=each.job_connections_per_process))
            for each in service.spec.additional_databases
            if each.job_connections_per_process
        ),
    )
    return _deployment(service, group, name=child(service.metadata.name, part), process=process)


def _placed(service: FastAPIService, part: str) -> Manifest:
    """The class that the guard counts by, and the spread over nodes and zones.

    The spread is a wish: a pod that cannot be spread runs all the same, or a cluster of one zone would run one. Only
    pods of one template are weighed against each other; the old ones of a rollout are about to go.
    """
    return {
        "priorityClassName": priority_class_name(service, part),
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": key,
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": selector(service, part)},
                "matchLabelKeys": ["pod-template-hash"],
            }
            for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
        ],
    }


def configured(deployment: Manifest, *, versions: str) -> Manifest:
    """The Deployment whose pods belong to these versions of Secrets and ConfigMaps; another text is another rollout."""
    if not versions:
        return deployment
    template = deployment["spec"]["template"]
    meta = template["metadata"]
    meta = {**meta, "annotations": {**meta["annotations"], CONFIG: versions}}
    return {**deployment, "spec": {**deployment["spec"], "template": {**template, "metadata": meta}}}


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
