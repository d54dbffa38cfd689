"""The over-budget service: refused by the API server with its arithmetic; and by the operator, where the API server is
passed by, admitted once it asks for what it was told would fit.
"""

from __future__ import annotations

import re

import pytest
from support.kube import KubectlError, condition
from support.stage import SERVICE, example, pick
from support.witness import PodWitness


def gone(demo) -> bool:
    """Whether nothing is held any more under the names that are used here."""
    return not demo.claim("reports") + demo.claim("waiting")


@pytest.fixture
def reports(demo, kube, images):
    """examples/over-budget.yaml as it is scaled up: applied with no pods, which fits, it asks for them afterwards."""
    (manifest,) = example("over-budget.yaml", namespace="demo", images=images)
    manifest["spec"]["web"]["replicas"] = 0
    kube.apply(manifest)
    demo.ready("reports")
    kube.run("scale", SERVICE, "reports", "--replicas=1", "--namespace=demo")
    yield manifest
    for name in ("reports", "waiting"):
        kube.delete(SERVICE, name, namespace="demo")
    demo.until("their claims have gone", lambda: gone(demo), within=60)


def fitting_pool(message: str) -> int:
    """The pool size that a refusal says would fit."""
    found = re.search(r"What would fit: .*database\.pool\.size (\d+) with maxOverflow 0\.", message)
    assert found, message
    return int(found[1])


SUM = "Needs 240 connections: web (1 + 1 surge) pods × 4 processes × (10 pool + 20 overflow) = 240."


def test_an_over_budget_apply_is_refused_with_the_arithmetic_and_nothing_is_made(demo, kube, images):
    (manifest,) = example("over-budget.yaml", namespace="demo", images=images)
    with pytest.raises(KubectlError) as refused:
        kube.apply(manifest)
    print(f"\n{refused.value}")
    assert SUM in str(refused.value)
    assert "Budget demo/main has 0 free for it: 91 − 120 margin − 20 held by others." in str(refused.value)
    assert kube.get(SERVICE, "reports", namespace="demo") is None


def test_an_over_budget_service_makes_no_pod_and_says_the_sum_what_is_free_and_what_would_fit(demo, kube, reports):
    with PodWitness(kube, "demo") as witness:
        message = demo.says("OverBudget", name="reports")
        print(f"\n{message}")
        assert SUM in message
        assert "Budget demo/main has 0 free for it: 91 − 120 margin − 20 held by others." in message
        assert "Held: 20 by demo/captions." in message
        assert "looks like 4 × 10 = 40, but every process has its own pool" in message
        assert "4 × (10 + 20) = 120" in message
        service = demo.service("reports")
        assert condition(service, "Stalled")["status"] == "True"
        assert condition(service, "BudgetGranted")["status"] == "False"

        size = fitting_pool(message)
        # Less than before, so the API server lets it pass; still too much by one.
        demo.edit({"database": {"pool": {"size": size + 1, "maxOverflow": 0}}}, name="reports")
        refused = demo.says("OverBudget", f"{size + 1} pool", name="reports")
        assert fitting_pool(refused) == size, "the advice is not tight"
        assert "looks like" not in refused, "without overflow there is nothing to explain"

        assert not demo.children("pods", "reports")
        assert demo.claim("reports") == 0
        assert not [pod for pod in witness.names("web") if pod.startswith("reports")]

        demo.edit({"database": {"pool": {"size": size, "maxOverflow": 0}}}, name="reports")
        demo.ready("reports")
    assert demo.claim("reports") == 2 * 4 * size <= 91 - 4 * size - 20
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
    waiting["spec"]["web"]["replicas"] = 0
    waiting["spec"]["database"]["pool"] = {"size": 10}
    kube.apply(waiting)
    demo.ready("waiting")
    kube.run("scale", SERVICE, "waiting", "--replicas=1", "--namespace=demo")
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
