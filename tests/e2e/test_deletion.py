"""Deletion always works: over the budget, with the database away, with the operator down; and frees the claim last."""

from __future__ import annotations

import pytest
from support.kube import condition
from support.stage import BUDGET, SERVICE, pick, staged, without_node_port
from support.story import OPERATOR_NAMESPACE


def asked_often(manifests) -> None:
    without_node_port(manifests)
    pick(manifests, "ConnectionBudget")["spec"]["probeIntervalSeconds"] = 5


@pytest.fixture(scope="module")
def stage(kube, images):
    with staged(kube, "e2e-deletion", images, change=asked_often) as stage:
        yield stage


@pytest.fixture
def operator_down(kube):
    """A function that takes the operator away; it is back at the end."""

    def scale(replicas: int) -> None:
        where = f"--namespace={OPERATOR_NAMESPACE}"
        kube.run("scale", "deployment", "plimsoll-operator", f"--replicas={replicas}", where)

    def down() -> None:
        scale(0)
        pods = "app.kubernetes.io/name=plimsoll-operator"
        kube.until(
            "the operator is gone", lambda: not kube.list("pods", namespace=OPERATOR_NAMESPACE, labels=pods), within=60
        )

    def up() -> None:
        scale(1)
        where = f"--namespace={OPERATOR_NAMESPACE}"
        kube.run("rollout", "status", "deployment/plimsoll-operator", where, "--timeout=60s", seconds=70)

    yield down, up
    up()


def test_a_service_goes_while_over_budget_without_its_database_and_without_the_operator(stage, kube, operator_down):
    down, up = operator_down
    kube.patch(BUDGET, "main", {"spec": {"maxConnections": 15}}, namespace=stage.namespace)
    stage.says("Overcommitted", name="main", kind=BUDGET)
    assert condition(stage.service())["status"] == "True", "what runs is left alone"
    selector = {"spec": {"selector": {"app.kubernetes.io/name": "postgres", "away": "yes"}}}
    kube.patch("service", "postgres", selector, namespace=stage.namespace)
    stage.says("ServerUnreachable", name="main", kind=BUDGET)

    down()
    uid = stage.service()["metadata"]["uid"]
    kube.run("delete", SERVICE, "captions", f"--namespace={stage.namespace}")
    labels = f"plimsoll.dev/uid={uid}"
    stage.until(
        "its pods have gone", lambda: not kube.list("pods", namespace=stage.namespace, labels=labels), within=120
    )
    assert stage.claim() == 20, "nobody is there to take it back"

    up()
    stage.until("its claim has gone", lambda: stage.claim() == 0, within=60)
    stage.until("its PriorityClasses have gone", lambda: not kube.list("priorityclasses", labels=labels), within=60)
    assert not kube.list("resourcequotas", namespace=stage.namespace, labels=labels)
