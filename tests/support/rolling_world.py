"""A service to be rolled over under load: the quickstart with ``rolling`` in it, and a proxy in front like an ingress.

PostgreSQL, the proxy and the load stay on one node, so that the other can be drained.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from support.audit import AUDIT, all_ended, jobs_since
from support.stage import Stage, pick, staged, without_node_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from support.kube import Kube, Manifest
    from support.load import Load
    from support.stage import Images

SERVE: Final = ("python3", "-m", "plimsoll_runtime", "serve", "rolling:app")
UVICORN: Final = ("python3", "-m", "uvicorn", "rolling:app", "--host=0.0.0.0", "--port=8000", "--timeout-keep-alive=75")
# 31 would cover drain, deadline and lifespan to the last second; 30 is what gunicorn does by itself.
GUNICORN: Final = (
    *("python3", "-m", "gunicorn", "rolling:app", "--worker-class=uvicorn_worker.UvicornWorker"),
    *("--bind=0.0.0.0:8000", "--timeout=30", "--graceful-timeout=30", "--keep-alive=75"),
)
SHUTDOWN: Final = {"drainSeconds": 5, "requestDeadlineSeconds": 20, "jobDeadlineSeconds": 30, "lifespanSeconds": 5}
NO_PRE_STOP: Final = {"preStopSeconds": 0}
LONG_SECONDS: Final = 8
"""Of slow answers, stalls and streams: longer than the drain, shorter than the request deadline."""


@dataclass(frozen=True)
class Pace:
    """How much of a machine that is all the nodes at once a starting pod may take, and how often one looks."""

    replicas: int
    web: Manifest
    """Resources of a web pod."""

    jobs: Manifest
    """Resources of a job worker's pod."""

    look_seconds: float


def paced(cpu: str, *, at_most: str) -> Manifest:
    """Resources of a container that leaves the rest of the machine to others."""
    return {"requests": {"cpu": cpu}, "limits": {"cpu": at_most}}


BRISK: Final = Pace(2, paced("200m", at_most="500m"), paced("200m", at_most="500m"), look_seconds=1)
"""Rollouts in twenty seconds, for who counts failures."""

GENTLE: Final = Pace(3, paced("250m", at_most="250m"), paced("10m", at_most="200m"), look_seconds=4)
"""Rollouts in forty, for who measures times: on two cores a pod that starts at full speed is what one would measure."""


HAPROXY: Final = """
global
    maxconn 2000
defaults
    mode http
    log stdout format raw local0
    option httplog
    option dontlognull
    option dontlog-normal
    # Nothing is hidden: the default would try a connection three times.
    retries 0
    timeout connect 5s
    timeout client 120s
    timeout server 120s
    timeout tunnel 1h
frontend in
    bind :8080
    default_backend service
backend service
    server service {host}:80
"""


@dataclass(frozen=True)
class Rolling:
    """What is rolled over, and what is done to it."""

    stage: Stage
    pace: Pace
    home: str
    """The node of everything that stays."""

    other: str
    """The node that is drained."""

    @property
    def targets(self) -> dict[str, str]:
        """The ways to the service: straight, and through the proxy."""
        namespace = self.stage.namespace
        return {"direct": f"captions.{namespace}.svc", "proxy": f"haproxy.{namespace}.svc:8080"}

    def serve(
        self, *, command: tuple[str, ...] = SERVE, workers: int = 1, shutdown: Mapping[str, int] = SHUTDOWN
    ) -> None:
        """How the web pods are served from now on."""
        self.stage.edit({"web": {"command": list(command), "workers": workers}, "shutdown": NO_PRE_STOP | shutdown})
        self._ready()

    def roll(self) -> None:
        """An edit that changes nothing but the pods, and a wait until all are new."""
        self.stage.edit({"env": [{"name": "REVISION", "value": uuid.uuid4().hex[:8]}]})
        self._ready()

    def scale(self, replicas: int) -> None:
        """Another number of web pods."""
        self.stage.edit({"web": {"replicas": replicas}})
        self._ready()

    def drain(self) -> None:
        """Empties a node, and takes it back."""
        kube = self.stage.kube
        try:
            kube.run(
                "drain", self.other, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=240s", seconds=250
            )
        finally:
            kube.run("uncordon", self.other)
        self._ready()

    def rotate(self) -> None:
        """Another role and another password in the service's Secret; the old ones go on until nobody uses them."""
        stage, role = self.stage, f"captions_{uuid.uuid4().hex[:6]}"
        stage.sql(f"CREATE ROLE {role} LOGIN PASSWORD 'rotated' IN ROLE captions")
        url = f"postgresql://{role}:rotated@postgres.{stage.namespace}.svc:5432/captions"
        before = self._pods()
        stage.kube.patch("secret", "captions-db", {"stringData": {"DATABASE_URL": url}}, namespace=stage.namespace)
        stage.until(
            "the pods are replaced", lambda: not before & self._pods(), within=240, every=self.pace.look_seconds
        )
        self._ready()

    def _ready(self) -> None:
        self.stage.ready(within=240, every=self.pace.look_seconds)

    def _pods(self) -> set[str]:
        """Names of the pods that serve and work; migrations that are done stay."""
        return {name for name in self.stage.children("pods") if "-migrate-" not in name}

    def migrate(self) -> None:
        """A migration that adds a column, before pods that know of it."""
        column = f"extra_{uuid.uuid4().hex[:6]}"
        script = (
            "import os, psycopg; connection = psycopg.connect(os.environ['DATABASE_URL']);"
            f" connection.execute('ALTER TABLE report ADD COLUMN {column} text'); connection.commit()"
        )
        self.stage.edit(
            {
                "migrations": {"command": ["python3", "-c", script]},
                "env": [{"name": "REVISION", "value": column}],
            }
        )
        self._ready()


def requests(cpu: str) -> Manifest:
    """Resources of a container that is not to starve beside pods that asked for more."""
    return {"requests": {"cpu": cpu}}


@contextlib.contextmanager
def rolling(kube: Kube, namespace: str, images: Images, *, pace: Pace = BRISK) -> Iterator[Rolling]:
    """The service, Ready, with its proxy."""
    home, other = _nodes(kube)

    def change(manifests: list[Manifest]) -> None:
        without_node_port(manifests)
        database = pick(manifests, "StatefulSet")["spec"]["template"]["spec"]
        database["nodeName"] = home
        database["containers"][0]["resources"] = requests("500m")
        # The nodes' disk is that of etcd and of every image that is started: a database has one of its own.
        next(volume for volume in database["volumes"] if volume["name"] == "data")["emptyDir"] = {"medium": "Memory"}
        service = pick(manifests, "FastAPIService")["spec"]
        service["image"] = os.environ["PLIMSOLL_TEST_IMAGE"]
        service["web"] |= {"command": list(SERVE), "replicas": pace.replicas, "resources": pace.web}
        service["jobs"][0]["resources"] = pace.jobs
        service["shutdown"] = SHUTDOWN

    with staged(kube, namespace, images, change=change) as stage:
        stage.sql(AUDIT)
        world = Rolling(stage, pace, home, other)
        kube.apply(*_proxy(namespace, node=home))
        stage.until("the proxy is up", lambda: _is_up(kube, namespace), within=60)
        yield world


def outcome(world: Rolling, load: Load, *, within: float) -> dict[str, Any]:
    """The report of a load, what became of the jobs that it brought, and what the proxy says of failures."""
    report = load.report(within=within)
    all_ended(world.stage)
    started = load.lines()[0]["started"]
    jobs = jobs_since(world.stage, started)
    accepted = report["requests"].get("job", {"acknowledged": 0})["acknowledged"]
    report["jobs"] = accepted
    report["jobs_lost"] = max(0, accepted - len(jobs)) + sum(times == 0 for times in jobs.values())
    report["jobs_doubled"] = sum(times > 1 for times in jobs.values())
    log = world.stage.kube.run("logs", f"--namespace={world.stage.namespace}", "deployment/haproxy", "--tail=20")
    report["proxy"] = log.splitlines() if report["failed"] else []
    return report


def _nodes(kube: Kube) -> tuple[str, str]:
    workers = sorted(
        node["metadata"]["name"]
        for node in kube.list("nodes")
        if "node-role.kubernetes.io/control-plane" not in node["metadata"]["labels"]
    )
    assert len(workers) > 1, "one node is drained, and the rest stays on another: PLIMSOLL_WORKERS=2"
    return workers[0], workers[1]


def _is_up(kube: Kube, namespace: str) -> bool:
    found = kube.get("deployment", "haproxy", namespace=namespace)
    return bool(found and found.get("status", {}).get("readyReplicas"))


def _proxy(namespace: str, *, node: str) -> tuple[Manifest, ...]:
    meta, labels = {"name": "haproxy", "namespace": namespace}, {"app.kubernetes.io/name": "haproxy"}
    container = {
        "name": "haproxy",
        "image": os.environ["PLIMSOLL_TEST_IMAGE"],
        "args": ["haproxy", "-f", "/etc/haproxy.d/haproxy.cfg"],
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
        "resources": requests("200m"),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": "config", "mountPath": "/etc/haproxy.d"}],
    }
    pod = {
        "nodeName": node,
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": "config", "configMap": {"name": "haproxy"}}],
    }
    return (
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": meta,
            "data": {"haproxy.cfg": HAPROXY.format(host=f"captions.{namespace}.svc")},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta,
            "spec": {"selector": labels, "ports": [{"port": 8080}]},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": meta,
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        },
    )
