"""The reconciler of services: in which order it writes, whom it wakes, what outlives a service."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from plimsoll.errors import Conflict, Forbidden, Terminal
from support.builders import group
from support.operated import BUDGET, PASSWORD, SHOP, key, refusing
from support.virtual_loop import run

if TYPE_CHECKING:
    from support.operated import Operated

QUOTA = "plimsoll-demo-shop-web-"


def test_the_claim_is_written_before_anything_that_needs_it(operated: Operated) -> None:
    operated.budget()
    operated.service()
    operated.writes()
    operated.look()
    first = operated.writes()
    assert first[0] == "replace_status ConnectionBudget demo/main"
    assert [each.split(" ")[:2] for each in first[1:]] == [
        ["apply", "PriorityClass"],
        ["apply", "ResourceQuota"],
        ["apply", "Service"],
        ["merge_status", "FastAPIService"],
        ["create", "Event"],
    ]
    operated.world.run()
    operated.look()
    assert operated.writes()[:3] == [
        "apply Deployment demo/shop-web",
        "apply PodDisruptionBudget demo/shop-web",
        "merge_status FastAPIService demo/shop",
    ]


def test_a_growing_edit_writes_the_claim_first_and_a_shrinking_one_last(operated: Operated) -> None:
    operated.budget()
    operated.service(pool=5)
    operated.settle()
    operated.writes()
    operated.edit(pool=8)
    operated.look()
    grown = operated.writes()
    assert grown.index("replace_status ConnectionBudget demo/main") < grown.index("apply Deployment demo/shop-web")
    operated.settle()
    operated.edit(pool=5)
    operated.writes()
    operated.look()
    shrunk = operated.writes()
    assert "apply Deployment demo/shop-web" in shrunk
    assert operated.claims() == {"shop": 24}
    operated.settle()
    assert operated.claims() == {"shop": 15}


def test_at_rest_nothing_is_written_and_nothing_asked_for(operated: Operated) -> None:
    operated.budget()
    operated.service(jobs=(group(),), migration=1)
    operated.settle()
    operated.writes()
    done = operated.look()
    assert operated.writes() == []
    assert done.requeue_after == 60, "its Secret may change, and nothing tells of that"


def test_guards_are_seen_before_what_makes_pods_and_that_before_the_pods(operated: Operated) -> None:
    operated.budget()
    operated.service()
    operated.cluster.calls.clear()
    operated.look()
    kinds = [call.kind for call in operated.cluster.calls]
    seen = [kinds.index(kind) for kind in ("ResourceQuota", "ReplicaSet", "Pod")]
    assert seen == sorted(seen)
    assert kinds.index("Deployment") < kinds.index("ReplicaSet")


def test_a_claim_that_loses_a_race_is_not_acted_upon(operated: Operated) -> None:
    operated.budget()
    operated.service()

    async def meddle(call: object) -> None:
        if "replace_status" in str(call):
            operated.cluster.edit_status("ConnectionBudget", "demo", "main", live=9)

    operated.cluster.gate = meddle
    operated.writes()
    with pytest.raises(Conflict):
        operated.look()
    assert [each for each in operated.writes() if not each.startswith("replace_status")] == []
    assert operated.claims() == {}


def test_who_waits_for_room_is_woken_when_some_is_freed(operated: Operated) -> None:
    operated.budget()
    big = operated.service("big", replicas=8, pool=10)
    late = operated.service("late", replicas=2, pool=5)
    operated.settle(big, late)
    assert operated.condition("late")["reason"] == "OverBudget"
    operated.woken.clear()
    operated.cluster.remove("FastAPIService", "demo", "big")
    for _ in range(20):
        operated.look(big)
        operated.world.run()
    assert operated.claims() == {}
    assert late in operated.woken
    operated.settle(late)
    assert operated.condition("late")["status"] == "True"


def test_who_waits_for_a_budget_is_woken_when_it_can_be_read(operated: Operated) -> None:
    operated.service()
    operated.look()
    assert operated.condition()["reason"] == "BudgetNotFound"
    operated.budget()
    assert operated.woken == [SHOP]


def test_who_waits_to_be_allowed_is_woken_when_the_budget_allows_it(operated: Operated) -> None:
    operated.budget()
    operated.service(budget_namespace="demo")
    operated.cluster.put(
        operated.cluster.read("FastAPIService", "demo", "shop")
        | {"metadata": {"name": "shop", "namespace": "elsewhere"}}
    )
    stranger = type(SHOP)(SHOP.kind, "elsewhere", "shop")
    operated.look(stranger)
    operated.look(BUDGET)
    assert stranger not in operated.woken
    operated.cluster.edit_spec("ConnectionBudget", "demo", "main", allowedNamespaces={"from": "All"})
    operated.look(BUDGET)
    assert stranger in operated.woken


def test_a_deleted_services_claim_and_guards_stay_until_nothing_is_left_of_it(operated: Operated) -> None:
    operated.budget()
    operated.service(replicas=2, jobs=(group(replicas=1),))
    operated.settle()
    operated.cluster.remove("FastAPIService", "demo", "shop")
    seen = []
    for _ in range(60):
        done = operated.look()
        claim, there = operated.claims().get("shop", 0), operated.world.open_connections()
        makes = any(operated.cluster.of_kind("ReplicaSet"))
        assert claim >= there
        assert claim == 19 or not makes
        guards = len(list(operated.cluster.of_kind("ResourceQuota")))
        assert guards == 2 or not there
        seen.append(claim)
        moves = [move for move in operated.world.moves() if move.fair]
        if not moves and done.requeue_after is None:
            break
        assert done.requeue_after == 2.0
        if moves:
            moves[0].do()
    assert seen == sorted(seen, reverse=True)
    assert seen[-1] == 0
    left = {kind for kind, _, _ in operated.cluster.objects}
    assert left == {"Secret", "ConnectionBudget"}


def test_the_migration_of_a_deleted_service_counts_until_its_job_is_gone(operated: Operated) -> None:
    operated.budget()
    operated.service(replicas=0, migration=3)
    operated.look()
    operated.cluster.remove("FastAPIService", "demo", "shop")
    operated.look()
    assert operated.claims() == {"shop": 3}, "no pod is there, and its Job can make one"
    operated.world.run()
    operated.look()
    assert operated.claims() == {}


def test_a_service_made_anew_is_claimed_for_beside_what_is_left_of_the_old_one(operated: Operated) -> None:
    operated.budget()
    operated.service(replicas=2, pool=5)
    operated.settle()
    old = next(name for kind, _, name in operated.cluster.objects if kind == "ResourceQuota")
    operated.cluster.remove("FastAPIService", "demo", "shop")
    operated.service(replicas=2, pool=7)
    operated.look()
    assert operated.claims() == {"shop": 15 + 21}
    guards = {name for kind, _, name in operated.cluster.objects if kind == "ResourceQuota"}
    assert old in guards
    assert len(guards) == 2
    operated.settle()
    assert operated.claims() == {"shop": 21}
    assert operated.condition()["status"] == "True"
    assert old not in {name for kind, _, name in operated.cluster.objects if kind == "ResourceQuota"}


def test_a_service_that_moves_to_another_budget_is_counted_at_both_until_it_has(operated: Operated) -> None:
    operated.budget()
    operated.cluster.put(
        operated.cluster.read("ConnectionBudget", "demo", "main") | {"metadata": {"namespace": "demo", "name": "other"}}
    )
    operated.service()
    operated.settle()
    operated.edit(budget="other")
    operated.look()
    assert (operated.claims("main"), operated.claims("other")) == ({"shop": 15}, {"shop": 15})
    operated.settle()
    assert (operated.claims("main"), operated.claims("other")) == ({}, {"shop": 15})


def test_a_service_that_has_moved_and_whose_old_pods_have_yet_to_go_is_written_about_once(operated: Operated) -> None:
    operated.budget()
    operated.cluster.put(
        operated.cluster.read("ConnectionBudget", "demo", "main") | {"metadata": {"namespace": "demo", "name": "other"}}
    )
    operated.service(whenOver="ShrinkPool")
    operated.settle()
    operated.edit(budget="other", whenOver="ShrinkPool")
    for _ in range(60):
        operated.look()
        moves = [each for each in operated.world.moves() if each.fair and not each.name.endswith("is gone")]
        if moves:
            moves[0].do()
    there = operated.world.open_connections("demo/main")
    assert (operated.claims("main"), there) == ({"shop": 10}, 10), "nothing can make another one that connects there"
    operated.writes()
    operated.woken.clear()
    operated.look()
    assert (operated.writes(), operated.woken) == ([], [])


def test_a_service_that_may_not_move_keeps_its_claim_where_it_is(operated: Operated) -> None:
    operated.budget()
    operated.service()
    operated.settle()
    operated.edit(budget="missing")
    operated.settle()
    assert operated.condition()["reason"] == "BudgetNotFound"
    assert operated.claims() == {"shop": 15}


def test_a_service_with_a_deletion_timestamp_is_as_good_as_gone(operated: Operated) -> None:
    operated.budget()
    operated.service()
    operated.settle()
    operated.cluster.edit(
        "FastAPIService",
        "demo",
        "shop",
        lambda live: {**live, "metadata": {**live["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}},
    )
    operated.writes()
    operated.look()
    assert operated.writes() == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Terminal("PATCH services/shop: 422: provided port is already allocated"), "InvalidSpec"),
        (Forbidden("PATCH services/shop: 403: cannot patch services"), "Forbidden"),
    ],
)
def test_what_the_api_server_refuses_is_said_on_the_service_and_tried_again(
    operated: Operated, error: Exception, reason: str
) -> None:
    operated.budget()
    operated.service()
    with refusing(operated.cluster, "apply Service ", error), pytest.raises(type(error)):
        operated.look()
    ready = operated.condition()
    assert (ready["status"], ready["reason"]) == ("False", reason)
    assert ready["message"] == f"The cluster refuses a part of the service: {error}"
    assert operated.condition(type_="Stalled")["status"] == "True"
    operated.settle()
    assert operated.condition()["status"] == "True"


def test_no_password_is_ever_in_any_object_that_is_written(operated: Operated) -> None:
    operated.budget()
    operated.service(jobs=(group(),), migration=1)
    operated.settle()
    operated.edit(pool=500)
    operated.settle()
    written = [each for (kind, _, _), each in operated.cluster.objects.items() if kind != "Secret"]
    assert PASSWORD not in json.dumps(written)


def test_resync_wakes_everything_there_is(operated: Operated) -> None:
    operated.budget()
    operated.service()
    operated.service("other")
    operated.woken.clear()
    run(lambda _: operated.reconciler.resync())
    assert sorted(operated.woken, key=str) == sorted([BUDGET, SHOP, key("other")], key=str)
