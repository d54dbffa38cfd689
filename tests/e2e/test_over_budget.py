"""The over-budget service: refused with its arithmetic, admitted once it asks for what it was told would fit."""

from __future__ import annotations

import re

import pytest
from support.kube import condition
from support.stage import SERVICE, example, pick
from support.witness import PodWitness


@pytest.fixture
def reports(demo, kube, images):
    """examples/over-budget.yaml, applied beside the quickstart; gone with its pods at the end."""
    (manifest,) = example("over-budget.yaml", namespace="demo", images=images)
    kube.apply(manifest)
    yield manifest
    for name in ("reports", "waiting"):
        kube.delete(SERVICE, name, namespace="demo")
    demo.until("their claims have gone", lambda: not demo.claim("reports") + demo.claim("waiting"), within=60)


def fitting_pool(message: str) -> int:
    """The pool size that a refusal says would fit."""
    found = re.search(r"What would fit: database\.pool\.size (\d+) with maxOverflow 0\.", message)
    assert found, message
    return int(found[1])


def test_an_over_budget_service_makes_no_pod_and_says_the_sum_what_is_free_and_what_would_fit(demo, kube, reports):
    free = demo.budget()["status"]["free"]
    with PodWitness(kube, "demo") as witness:
        message = demo.says("OverBudget", name="reports")
        print(f"\n{message}")
        assert "Needs 240 connections: web (1 + 1 surge) pods × 4 processes × (10 pool + 20 overflow) = 240." in message
        assert f"Budget demo/main has {free} free for it of 91 usable." in message
        assert "looks like 4 × 10 = 40, but every process has its own pool" in message
        assert "4 × (10 + 20) = 120" in message
        service = demo.service("reports")
        assert condition(service, "Stalled")["status"] == "True"
        assert condition(service, "BudgetGranted")["status"] == "False"

        size = fitting_pool(message)
        one_more = {"database": {"pool": {"size": size + 1, "maxOverflow": 0}}}
        demo.edit(one_more, name="reports")
        refused = demo.says("OverBudget", name="reports")
        assert fitting_pool(refused) == size, "the advice is not tight"
        assert "looks like" not in refused, "without overflow there is nothing to explain"

        assert not demo.children("deployments,replicasets,jobs,pods,services,resourcequotas", "reports")
        assert demo.claim("reports") == 0
        assert not [pod for pod in witness.names("web") if pod.startswith("reports")]

        demo.edit({"database": {"pool": {"size": size, "maxOverflow": 0}}}, name="reports")
        demo.ready("reports")
    assert demo.claim("reports") == 2 * 4 * size <= free
    assert [pod for pod in witness.names("web") if pod.startswith("reports")]


def test_a_deleted_service_holds_its_claim_until_its_pods_are_gone_and_then_whoever_waits_gets_it(
    demo, kube, reports, images
):
    demo.edit(
        {"database": {"pool": {"size": fitting_pool(demo.says("OverBudget", name="reports")), "maxOverflow": 0}}},
        name="reports",
    )
    demo.ready("reports")
    held = demo.claim("reports")
    waiting = {**pick(example("over-budget.yaml", namespace="demo", images=images), "FastAPIService")}
    waiting["metadata"] = {"name": "waiting", "namespace": "demo"}
    waiting["spec"]["web"]["workers"] = 1
    waiting["spec"]["database"]["pool"] = {"size": 10}
    kube.apply(waiting)
    demo.says("OverBudget", name="waiting")

    with PodWitness(kube, "demo") as witness:
        kube.delete(SERVICE, "reports", namespace="demo")

        def released() -> bool:
            there = [pod for pod in witness.now().values() if pod.name.startswith("reports")]
            claim = demo.claim("reports")
            still_there = [pod for pod in witness.now().values() if pod.name.startswith("reports")]
            both = {pod.name for pod in there} & {pod.name for pod in still_there}
            assert claim >= sum(pod.connections for pod in there if pod.name in both), f"{claim} of {held} for {both}"
            return claim == 0

        demo.until("the claim of reports is given back", released, within=60)
        demo.ready("waiting")
