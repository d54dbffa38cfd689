"""What the policy lets pass and what it refuses, case by case, on a real API server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from integration.admission.stage import budget, service
from plimsoll.render.admission import binding
from support.eventually import eventually

if TYPE_CHECKING:
    from integration.admission.stage import Stage
    from plimsoll.api.meta import Manifest

pytestmark = pytest.mark.integration


def held(uid: str, connections: int, *, per_pod: int = 0) -> Manifest:
    return {"namespace": "demo", "name": "other", "uid": uid, "connections": connections, "perPod": per_pod}


def sized(size: int, **more: Any) -> Manifest:
    return {"database": {"pool": {"size": size, **more}}}


def test_what_does_not_fit_is_refused_with_the_arithmetic(stage: Stage) -> None:
    stage.budget({"capacity": 90, "claims": [held("u1", 20, per_pod=4)]}, name="arithmetic", margin=4)
    asks = service(budget="arithmetic", web={"replicas": 1, "workers": 4}, **sized(10, maxOverflow=20))
    answer = stage.try_out(asks)
    assert answer.code == 403
    assert stage.said(answer) == (
        "Needs 240 connections: web (1 + 1 surge) pods × 4 processes × (10 pool + 20 overflow) = 240."
        " Budget demo/arithmetic has 66 free for it: 90 − 4 margin − 20 held by others."
    )


def test_the_last_connection_is_given_and_not_one_more(stage: Stage) -> None:
    stage.budget({"capacity": 20}, name="exact")  # 15 and a margin of its own 5
    assert stage.try_out(service(budget="exact")).taken
    assert not stage.try_out(service(budget="exact", rollout={"maxSurge": 2})).taken


def test_a_budget_that_was_never_read_refuses_nothing(stage: Stage) -> None:
    made = stage.budget({"claims": [held("u1", 1000)]}, name="unread")
    asks = service(budget="unread")
    assert stage.try_out(asks).taken
    stage.set_status(made, capacity=15)
    assert not stage.try_out(asks).taken


def test_what_other_budgets_claim_of_the_same_server_counts(stage: Stage) -> None:
    made = stage.budget({"capacity": 20}, name="elsewhere")
    assert stage.try_out(service(budget="elsewhere")).taken
    stage.set_status(made, claimedElsewhere=1)
    assert "has 14 free for it: 20 − 5 margin − 1 held by others." in stage.said(
        stage.try_out(service(budget="elsewhere"))
    )


def test_an_update_that_asks_for_no_more_passes_however_full_the_budget_is(stage: Stage) -> None:
    made = stage.budget({"capacity": 100}, name="ratchet")
    live = stage.add(service(budget="ratchet"))
    stage.set_status(made, capacity=0)
    edited = {**live, "metadata": {**live["metadata"], "annotations": {"note": "edited"}}}
    assert stage.api.replace(edited, dry=True).taken
    assert stage.api.merge(live, {"spec": {"image": "shop:2"}}, dry=True).taken
    assert stage.api.merge(live, {"spec": sized(4)}, dry=True).taken
    refused = stage.api.merge(live, {"spec": sized(6)}, dry=True)
    assert stage.said(refused).startswith("Needs 18 connections:")


def test_a_finalizer_can_be_taken_off_what_is_being_deleted_and_nothing_is_asked_of_it(stage: Stage) -> None:
    made = stage.budget({"capacity": 100}, name="leaving")
    live = service(budget="leaving")
    live["metadata"]["finalizers"] = ["example.org/wait"]
    stage.add(live)
    stage.set_status(made, capacity=0)
    assert not stage.api.merge(live, {"spec": sized(6)}).taken
    assert stage.api.delete(live).taken
    assert stage.api.merge(live, {"spec": sized(6)}).taken, "only the finalizer keeps it"
    assert stage.api.merge(live, {"metadata": {"finalizers": None}}).taken
    assert stage.api.get("FastAPIService", live["metadata"]["name"], "demo").code == 404


def test_a_delete_passes_however_full_the_budget_is(stage: Stage) -> None:
    made = stage.budget({"capacity": 100}, name="deleted")
    live = stage.add(service(budget="deleted"))
    stage.set_status(made, capacity=0)
    assert stage.api.delete(live).taken


def test_what_its_own_claim_covers_passes_and_an_older_objects_claim_is_not_its_own(stage: Stage) -> None:
    made = stage.budget({"capacity": 100}, name="covered")
    live = stage.add(service("again", budget="covered"))
    mine = held(live["metadata"]["uid"], 18) | {"name": "again"}
    stage.set_status(made, capacity=18, claims=[mine])
    assert stage.api.merge(live, {"spec": sized(6)}, dry=True).taken
    assert not stage.api.merge(live, {"spec": sized(7)}, dry=True).taken
    assert stage.api.delete(live).taken
    refused = stage.said(stage.try_out(service("again", budget="covered", **sized(1))))
    assert refused.endswith("has 0 free for it: 18 − 1 margin − 18 held by others.")


def test_scale_is_left_to_the_ledger(stage: Stage) -> None:
    made = stage.budget({"capacity": 100}, name="scaled")
    live = stage.add(service(budget="scaled"))
    stage.set_status(made, capacity=0)
    assert stage.api.scale(live, 50).taken
    assert stage.api.get("FastAPIService", live["metadata"]["name"], "demo").must()["spec"]["web"]["replicas"] == 50


def test_one_that_may_shrink_is_refused_only_if_its_smallest_pool_does_not_fit(stage: Stage) -> None:
    stage.budget({"capacity": 40}, name="shrinks")
    shrinks = {"budget": "shrinks", "whenOver": "ShrinkPool"}
    assert not stage.try_out(service(budget="shrinks", **sized(19))).taken
    assert stage.try_out(service(**shrinks, **sized(19))).taken, "half of it, rounded up, is 10: 30 and a margin of 10"
    assert stage.said(stage.try_out(service(**shrinks, **sized(21)))) == (
        "Needs 63 connections: web (2 + 1 surge) pods × 1 process × 21 pool = 63."
        " Budget demo/shrinks has 19 free for it: 40 − 21 margin. Not even a pool of 11, its smallest, fits."
    )
    assert stage.try_out(service(**shrinks, **sized(21, minSize=10))).taken


@pytest.mark.parametrize(
    ("name", "allowed", "from_demo", "from_shop"),
    [
        ("same", {"from": "Same"}, False, False),
        ("all", {"from": "All"}, True, True),
        ("team", {"from": "Selector", "selector": {"matchLabels": {"team": "b"}}}, False, True),
        ("both", {"from": "Selector", "selector": {"matchLabels": {"team": "b", "tier": "gold"}}}, False, True),
        ("one-is-wrong", {"from": "Selector", "selector": {"matchLabels": {"team": "b", "tier": "tin"}}}, False, False),
        (
            "by-name",
            {"from": "Selector", "selector": {"matchLabels": {"kubernetes.io/metadata.name": "demo"}}},
            True,
            False,
        ),
    ],
)
def test_a_budget_of_another_namespace_has_to_allow_it(
    stage: Stage, name: str, allowed: Manifest, *, from_demo: bool, from_shop: bool
) -> None:
    stage.budget({"capacity": 100}, name=name, namespace="platform", allowedNamespaces=allowed)
    for namespace, passes in (("demo", from_demo), ("shop", from_shop), ("platform", True)):
        answer = stage.try_out(service(namespace=namespace, budget=f"platform/{name}"))
        assert answer.taken is passes, answer.words
        if not passes:
            assert stage.said(answer) == (
                f"Budget platform/{name} does not allow services of namespace {namespace}; its owner can set"
                " allowedNamespaces.from to All, or to Selector with labels of that namespace."
            )


def test_a_namespace_without_labels_of_its_own_matches_no_others(stage: Stage) -> None:
    """platform has none; a budget of demo that selects is asked for from there."""
    wanted = {"from": "Selector", "selector": {"matchLabels": {"team": "a"}}}
    stage.budget({"capacity": 100}, name="selects", allowedNamespaces=wanted)
    assert "does not allow" in stage.said(stage.try_out(service(namespace="platform", budget="demo/selects")))


def test_a_permission_that_is_taken_back_stops_new_references_only(stage: Stage) -> None:
    made = stage.budget({"capacity": 100}, name="revoked", namespace="platform", allowedNamespaces={"from": "All"})
    live = stage.add(service(budget="platform/revoked"))
    other = stage.add(service(budget="full", web={"replicas": 0}))
    stage.api.merge(made, {"spec": {"allowedNamespaces": {"from": "Same"}}}).must()
    stage.settle()
    assert stage.api.merge(live, {"spec": {"image": "shop:2"}}, dry=True).taken
    moves = {"spec": {"database": {"budgetRef": {"name": "revoked", "namespace": "platform"}}}}
    assert "does not allow" in stage.said(stage.api.merge(other, moves, dry=True))


def test_a_service_that_no_longer_refers_to_a_budget_is_not_asked_for_it(stage: Stage) -> None:
    made = stage.budget({"capacity": 100}, name="left")
    stage.budget({"capacity": 100}, name="entered")
    live = stage.add(service(budget="left"))
    stage.set_status(made, capacity=0)
    moves = {"spec": {"database": {"budgetRef": {"name": "entered"}}, "web": {"replicas": 9}}}
    assert stage.api.merge(live, moves, dry=True).taken


def test_dry_runs_get_the_same_answer_and_store_nothing(stage: Stage) -> None:
    made = stage.budget({"capacity": 100}, name="dry")
    asks = service(budget="dry")
    assert stage.api.apply(asks, dry=True).taken
    assert stage.api.get("FastAPIService", asks["metadata"]["name"], "demo").code == 404
    live = stage.add(asks)
    stage.set_status(made, capacity=20)
    more = service(asks["metadata"]["name"], budget="dry", web={"replicas": 30})
    in_diff, in_earnest = stage.api.apply(more, dry=True), stage.api.apply(more)
    assert stage.said(in_diff) == stage.said(in_earnest)
    assert stage.api.get("FastAPIService", live["metadata"]["name"], "demo").must()["spec"] == live["spec"]


def test_without_a_budget_or_a_binding_everything_passes(stage: Stage) -> None:
    assert stage.try_out(service(budget="missing")).taken
    stage.add(budget("beyond", namespace="shop"), {"capacity": 0})
    stage.settle()
    asks = service(namespace="shop", budget="beyond")
    assert stage.try_out(asks).taken
    stage.api.apply(binding("shop")).must()
    eventually(lambda: not stage.try_out(asks).taken)
