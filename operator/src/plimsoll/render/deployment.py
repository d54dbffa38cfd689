"""Deployments: one for the web pods, one for each group of job workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plimsoll.budget.demand import WEB, job_cost, web_cost
from plimsoll.render.guard import priority_class_name
from plimsoll.render.names import child, component, metadata, selector
from plimsoll.render.pod import Process, pool_env, template
from plimsoll.shutdown import job_grace_seconds, web_grace_seconds

if TYPE_CHECKING:
    from plimsoll.api.fastapiservice import FastAPIService, JobGroup
    from plimsoll.api.meta import Manifest


def _deployment(service: FastAPIService, *, name: str, replicas: int, process: Process) -> Manifest:
    rollout = service.spec.rollout
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(service, name=name, part=process.part),
        "spec": {
            "replicas": replicas,
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
    cost = web_cost(service.spec)
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
        connections=cost.connections,
        grace_seconds=web_grace_seconds(service.spec.shutdown),
        env=(*pool_env(cost), ("PORT", str(spec.port))),
        container=container,
        pod={"priorityClassName": priority_class_name(service, component(None))},
    )
    return _deployment(service, name=child(service.metadata.name, WEB), replicas=spec.replicas, process=process)


def jobs(service: FastAPIService, group: JobGroup) -> Manifest:
    """The Deployment of one group of job workers."""
    part = component(group.name)
    cost = job_cost(group)
    process = Process(
        part=part,
        command=group.command,
        connections=cost.connections,
        grace_seconds=job_grace_seconds(service.spec.shutdown),
        env=pool_env(cost),
        container={"resources": group.resources} if group.resources else {},
        pod={"priorityClassName": priority_class_name(service, part)},
    )
    return _deployment(service, name=child(service.metadata.name, part), replicas=group.replicas, process=process)
