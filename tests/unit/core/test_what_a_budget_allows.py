"""What a service does with its budget: missing, not granted, never read, too old to trust, or smaller than it was."""

from __future__ import annotations

from support.builders import budget_manifest
from support.scene import Scene


def test_without_its_budget_a_service_waits_and_says_what_is_missing() -> None:
    scene = Scene(budget_namespace="platform")
    decision = scene.step()
    assert (dict(decision.claims), decision.step.apply) == ({}, ())
    assert (scene.ready, scene.reason) == ("False", "BudgetNotFound")
    assert scene.message == (
        "There is no ConnectionBudget platform/main; create it, or correct the budgetRef that names it."
    )
    assert scene.condition("Reconciling")["status"] == "True"


def test_a_budget_of_another_namespace_must_allow_it() -> None:
    scene = Scene(budget=budget_manifest(namespace="platform"), budget_namespace="platform")
    scene.step()
    assert (scene.ready, scene.reason) == ("False", "NamespaceNotAllowed")
    assert scene.message == (
        "Budget platform/main does not allow services of namespace demo;"
        " its owner can set allowedNamespaces.from to All, or to Selector with labels of that namespace."
    )
    assert scene.condition("Stalled")["status"] == "True"


def test_a_right_that_is_revoked_kills_nothing_and_releases_nothing() -> None:
    scene = Scene(budget=budget_manifest(namespace="platform", everyone=True), budget_namespace="platform")
    scene.settle()
    scene.cluster.edit_spec("ConnectionBudget", "platform", "main", allowedNamespaces={"from": "Same"})
    scene.step()
    assert (scene.reason, scene.claim, scene.pods()) == ("NamespaceNotAllowed", 15, [5, 5])


def test_a_budget_that_was_never_read_lets_nothing_start() -> None:
    scene = Scene(usable=None)
    decision = scene.step()
    assert (decision.step.apply, scene.claim, decision.requeue_after) == ((), 0, 10.0)
    assert (scene.reason, scene.condition("BudgetGranted")["status"]) == ("WaitingForBudget", "Unknown")
    assert scene.message.endswith("budget demo/main has no valid reading of its server: it was never read.")


def test_a_reading_that_grew_old_stops_growth_and_nothing_else() -> None:
    scene = Scene(replicas=2, pool=5)
    scene.settle()
    scene.now = "2026-01-01T13:00:00Z"
    scene.step()
    assert scene.ready == "True"
    scene.edit(pool=6)
    scene.step()
    assert (scene.reason, scene.claim, scene.pods()) == ("WaitingForBudget", 15, [5, 5])
    scene.edit(pool=4)
    scene.settle()
    assert (scene.ready, scene.pods(), scene.claim) == ("True", [4, 4], 12)


def test_a_server_that_shrank_kills_nothing_and_lets_shrink() -> None:
    scene = Scene(replicas=4, pool=5)
    scene.settle()
    scene.cluster.edit_status("ConnectionBudget", "demo", "main", capacity=10)
    scene.step()
    assert (scene.ready, scene.claim) == ("True", 25)
    scene.edit(replicas=5)
    scene.step()
    assert (scene.reason, scene.pods()) == ("OverBudget", [5] * 4)
    scene.edit(replicas=1)
    scene.settle()
    assert (scene.ready, scene.claim) == ("True", 10)


def test_a_server_that_shrank_does_not_ask_a_service_for_the_migration_that_it_has_made() -> None:
    scene = Scene(replicas=2, pool=5, migration=1)
    scene.settle()
    scene.cluster.edit_status("ConnectionBudget", "demo", "main", capacity=10)
    scene.settle()
    assert (scene.ready, scene.claim) == ("True", 16)
