"""The guard's edges on real kubelets, and the mode without one.

A quota is no perfect wall: it forgets a pod that has outlived its grace period, and a pod that is deleted by force is
gone for it at once. The first is met by a lower guard, the second by the budget's margin.
"""

from __future__ import annotations

import subprocess
from contextlib import contextmanager

import pytest
from support.kube import KubectlError, condition
from support.stage import BUDGET, SERVICE, pick, set_up, staged, without_node_port
from support.story import OPERATOR_NAMESPACE
from support.witness import ConnectionWitness, PodWitness

GRACE = {"drainSeconds": 1, "requestDeadlineSeconds": 2, "lifespanSeconds": 1}
"""1 + 1 + 2 + 1 + 5 = 10 seconds in all."""


def with_short_grace(manifests) -> None:
    without_node_port(manifests)
    pick(manifests, "FastAPIService")["spec"]["shutdown"] = GRACE


@pytest.fixture(scope="module")
def stage(kube, images):
    with staged(kube, "e2e-guard", images, change=with_short_grace) as stage:
        yield stage


@contextmanager
def without_kubelet(node: str):
    """A node that cannot be asked; its containers live on."""

    def kubelet(action: str) -> None:
        subprocess.run(["docker", "exec", node, "systemctl", action, "kubelet"], check=True, capture_output=True)

    kubelet("stop")
    try:
        yield
    finally:
        kubelet("start")


def guard(stage, part: str = "web") -> int:
    """How many pods the workload's quota allows."""
    labels = f"plimsoll.dev/service=captions,app.kubernetes.io/component={part}"
    (quota,) = stage.kube.list("resourcequotas", namespace=stage.namespace, labels=labels)
    return int(quota["status"]["hard"]["pods"])


def test_pods_that_outlive_their_grace_period_are_counted_on_and_the_guard_makes_room_for_them(stage, kube):
    database = kube.get("pod", "postgres-0", namespace=stage.namespace)["spec"]["nodeName"]
    pods = [pod for name, pod in stage.children("pods").items() if "-web-" in name]
    pod = next((pod for pod in pods if pod["spec"]["nodeName"] != database), pods[0])
    name, node = pod["metadata"]["name"], pod["spec"]["nodeName"]
    assert guard(stage) == 3
    with without_kubelet(node):
        kube.delete("pod", name, namespace=stage.namespace)
        stage.until("the guard is lower by the pod that it will forget", lambda: guard(stage) == 2, within=60)
        stage.until("the claim is as before: one guarded pod less, one counted", lambda: stage.claim() == 20, within=30)
        assert name in stage.children("pods"), "it is still there, and may be connected"
        if node != database:
            assert name in stage.sql("SELECT DISTINCT application_name FROM pg_stat_activity"), "it lives on"
    stage.until("the pod has gone with its node's answer", lambda: name not in stage.children("pods"), within=90)
    stage.until("the guard is as before", lambda: guard(stage) == 3, within=60)
    stage.ready()
    assert stage.claim() == 20


def test_pods_that_are_deleted_by_force_stay_within_claim_and_margin(stage, kube):
    margin = stage.budget()["status"]["margin"]
    with ConnectionWitness(kube, stage.namespace) as backends:
        name = next(name for name in stage.children("pods") if "-web-" in name)
        kube.delete("pod", name, namespace=stage.namespace, now=True)
        stage.until("another pod is in its place", lambda: web_pods(stage) == 2, within=90)
        stage.ready()
    assert margin >= 5, "one pod of the dearest kind"
    assert backends.most() <= stage.claim() + margin


def web_pods(stage) -> int:
    """Web pods that are ready."""
    return int(stage.service()["status"]["replicas"]) if condition(stage.service())["status"] == "True" else 0


def test_a_budget_takes_back_a_namespace_and_nothing_that_runs_is_killed(stage, kube):
    guest = "e2e-guest"
    kube.delete("namespace", guest, wait=True)
    kube.run("create", "namespace", guest)
    try:
        for name in ("captions-db", "captions-token"):
            secret = kube.get("secret", name, namespace=stage.namespace)
            kube.apply({**secret, "metadata": {"name": name, "namespace": guest}})
        service = {**stage.service(), "status": {}, "metadata": {"name": "guest", "namespace": guest}}
        service["spec"]["database"]["budgetRef"] = {"name": "main", "namespace": stage.namespace}
        service["spec"].pop("migrations")
        service["spec"]["web"]["replicas"] = 1

        with pytest.raises(KubectlError) as refused:
            kube.apply(service)
        assert f"{stage.namespace}/main does not allow services of namespace {guest}" in str(refused.value)

        allow = {"from": "Selector", "selector": {"matchLabels": {"kubernetes.io/metadata.name": guest}}}
        kube.patch(BUDGET, "main", {"spec": {"allowedNamespaces": allow}}, namespace=stage.namespace)
        stage.until("the policy knows", lambda: applied(kube, service), within=30)
        kube.until("the guest is ready", lambda: ready(kube, guest, "guest"), within=120, about=guest)
        assert stage.claim("guest") == 2 * 5 + 2 * 2

        nobody = {"allowedNamespaces": {"from": "Same", "selector": None}}
        kube.patch(BUDGET, "main", {"spec": nobody}, namespace=stage.namespace)
        pods = {pod["metadata"]["uid"] for pod in kube.list("pods", namespace=guest)}
        kube.run("scale", SERVICE, "guest", "--replicas=2", f"--namespace={guest}")
        kube.until(
            "the guest is told", lambda: said(kube, guest, "guest") == "NamespaceNotAllowed", within=60, about=guest
        )
        assert {pod["metadata"]["uid"] for pod in kube.list("pods", namespace=guest)} == pods
        assert stage.claim("guest") == 14
    finally:
        kube.delete(SERVICE, "guest", namespace=guest)
        kube.delete("namespace", guest)
    stage.until("its claim has gone with its pods", lambda: stage.claim("guest") == 0, within=90)


def applied(kube, manifest) -> bool:
    """Whether the API server takes it now."""
    try:
        kube.apply(manifest)
    except KubectlError:
        return False
    return True


def said(kube, namespace: str, name: str) -> str:
    """The reason of a service's Ready condition."""
    return str(condition(kube.get(SERVICE, name, namespace=namespace))["reason"])


def ready(kube, namespace: str, name: str) -> bool:
    """Whether a service's Ready condition is true."""
    return bool(condition(kube.get(SERVICE, name, namespace=namespace))["status"] == "True")


# ---- without cluster-scoped rights


@pytest.fixture
def counted(kube, images, operator):
    """An operator that looks after one namespace, and has no right beyond it."""
    namespace = "e2e-counted"
    kube.delete("namespace", namespace, wait=True)
    kube.run("create", "namespace", namespace)
    operator("overlap=Counted", f"watchNamespaces={{{namespace}}}")
    try:
        yield set_up(kube, namespace, images, change=with_short_grace)
    finally:
        kube.delete("namespace", namespace)
        operator()


def test_without_cluster_scoped_rights_one_rollout_at_a_time_stays_within_a_larger_claim(counted, kube):
    stage = counted
    account = f"--as=system:serviceaccount:{OPERATOR_NAMESPACE}:plimsoll-operator"
    assert kube.run("auth", "can-i", "create", "priorityclasses", account, ok=(0, 1)).strip() == "no"
    assert kube.run("auth", "can-i", "list", "pods", "--namespace=default", account, ok=(0, 1)).strip() == "no"
    assert not stage.children("resourcequotas")
    # web: 2 + 1 surge + 1 terminating + 2 evicted; jobs: 1 + 1 surge + 1 evicted; one migration
    assert stage.claim() == 6 * 5 + 3 * 2 + 1
    assert "(2 + 1 surge + 1 terminating + 2 evicted) pods" in stage.service()["status"]["plan"]["arithmetic"]
    with PodWitness(kube, stage.namespace) as pods:
        stage.edit({"env": [{"name": "ROUND", "value": "1"}]})
        stage.until("the first rollout is under way", lambda: len(pods.names("web")) > 2, within=60, every=0.05)
        stage.edit({"env": [{"name": "ROUND", "value": "2"}]})
        stage.says("WaitingForQuiet", "Waits until the last change of")
        stage.ready()
        rounds = {
            env["value"]
            for pod in stage.children("pods").values()
            if "deletionTimestamp" not in pod["metadata"] and pod["status"]["phase"] == "Running"
            for env in pod["spec"]["containers"][0]["env"]
            if env["name"] == "ROUND"
        }
    assert rounds == {"2"}
    assert pods.most("web") <= 6
    assert pods.most_connections() <= stage.claim()
