"""Services that claim from several budgets, and pools that shrink to fit: decided and carried out, as in a cluster."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from plimsoll.api.meta import BudgetKey
from plimsoll.budget.demand import demand
from plimsoll.overlap import on_the_way
from support.builders import a_service, budget_manifest, claim
from support.scene import Scene


def others(connections: int, *, usable: int = 91) -> dict[str, object]:
    """A budget in which others hold so many connections."""
    return budget_manifest(usable=usable, claims=(claim(9, connections, "other"),))


def database(name: str = "orders", *, budget: str = "other", size: int = 3) -> dict[str, Any]:
    return {"name": name, "budgetRef": {"name": budget}, "secretRef": {"name": f"{name}-db"}, "poolSize": size}


def second_budget(scene: Scene, *, usable: int, same_server: bool = False) -> None:
    """A second budget, on a server of its own or on that of the first."""
    scene.cluster.put(budget_manifest(name="other", usable=usable))
    if same_server:
        for name in ("main", "other"):
            server = scene.cluster.read("ConnectionBudget", "demo", name)["status"]["server"]
            one = {**server, "systemIdentifier": "7", "startedTime": "2026-01-01T00:00:00.5Z"}
            scene.cluster.edit_status("ConnectionBudget", "demo", name, server=one)


def test_a_service_of_two_databases_claims_from_both_budgets() -> None:
    scene = Scene(replicas=2, pool=5, additionalDatabases=[database(size=3)])
    second_budget(scene, usable=9)
    scene.settle()
    assert (scene.ready, scene.claim, scene.claim_on("demo", "other")) == ("True", 15, 9)
    template = scene.child("Deployment", "shop-web")["spec"]["template"]
    assert template["metadata"]["annotations"]["plimsoll.dev/connections"] == "demo/main=5,demo/other=3"
    assert {"name": "ORDERS_DB_POOL_SIZE", "value": "3"} in template["spec"]["containers"][0]["env"]


def test_who_is_refused_by_one_budget_takes_nothing_more_from_the_other() -> None:
    scene = Scene(replicas=2, pool=5, additionalDatabases=[database(size=3)])
    second_budget(scene, usable=8)
    scene.settle()
    assert (scene.reason, scene.claim, scene.claim_on("demo", "other")) == ("OverBudget", 0, 0)
    assert "Budget demo/other has 8 free for it" in scene.message


@pytest.mark.parametrize(("usable", "fits"), [(24, True), (23, False)])
def test_two_budgets_of_one_server_are_one_for_the_service_that_claims_from_both(usable: int, fits: bool) -> None:
    scene = Scene(usable=usable, replicas=2, pool=5, additionalDatabases=[database(size=3)])
    second_budget(scene, usable=usable, same_server=True)
    scene.settle()
    assert (scene.ready, scene.claim + scene.claim_on("demo", "other")) == (("True", 24) if fits else ("False", 0))


def test_a_database_that_is_given_up_is_counted_until_no_pod_connects_to_it() -> None:
    scene = Scene(replicas=2, pool=5, additionalDatabases=[database(size=3)])
    second_budget(scene, usable=9)
    scene.settle()
    scene.edit(additionalDatabases=[])
    scene.step()
    assert scene.claim_on("demo", "other") == 9


# ---- a pool that shrinks to fit

SHRINKS: dict[str, Any] = {"pool": 10, "whenOver": "ShrinkPool"}


def pool_of(scene: Scene) -> str:
    env = scene.child("Deployment", "shop-web")["spec"]["template"]["spec"]["containers"][0]["env"]
    return next(str(each["value"]) for each in env if each["name"] == "DB_POOL_SIZE")


def test_a_pool_shrinks_to_the_largest_that_fits_and_says_so() -> None:
    scene = Scene(budget=others(70), replicas=2, **SHRINKS)
    scene.settle()
    assert (scene.ready, scene.claim, pool_of(scene), scene.status["plan"]["poolSize"]) == ("True", 21, "7", 7)
    granted = scene.condition("BudgetGranted")
    assert (granted["status"], granted["reason"]) == ("True", "ShrunkToFit")
    assert "a pool of 10 does not fit now, so each process has 7" in granted["message"]


def test_but_never_below_its_floor() -> None:
    scene = Scene(budget=others(78), replicas=2, **SHRINKS)
    scene.settle()
    assert (scene.reason, scene.claim) == ("OverBudget", 0)
    assert "Not even a pool of 5, its smallest, fits." in scene.message


def test_more_replicas_make_room_for_themselves_by_smaller_pools() -> None:
    scene = Scene(usable=40, replicas=2, **SHRINKS)
    scene.settle()
    assert (scene.claim, pool_of(scene)) == (30, "10")
    scene.edit(replicas=5)
    scene.settle(steps=60)
    assert (scene.ready, pool_of(scene), scene.claim) == ("True", "6", 36)


def test_what_comes_free_is_given_back_when_the_pool_has_rested() -> None:
    scene = Scene(budget=others(70), replicas=2, **SHRINKS)
    scene.settle()
    scene.cluster.edit_status("ConnectionBudget", "demo", "main", claims=[claim(1, 21, "shop", per_pod=7)])
    scene.settle()
    scene.now = "2026-01-01T12:00:59Z"
    scene.settle()
    assert pool_of(scene) == "7", "not at once"
    scene.now = "2026-01-01T12:01:00Z"
    scene.settle()
    assert (scene.ready, pool_of(scene), scene.claim) == ("True", "10", 30)


def test_a_server_that_shrank_does_not_shrink_a_pool_that_runs() -> None:
    scene = Scene(replicas=2, **SHRINKS)
    scene.settle()
    scene.cluster.edit_status("ConnectionBudget", "demo", "main", capacity=12)
    scene.settle()
    assert (scene.ready, pool_of(scene), scene.claim) == ("True", "10", 30)


def test_a_lost_ledger_beside_a_twin_is_no_room_to_grow_into() -> None:
    scene = Scene(usable=24, replicas=2, pool=5, additionalDatabases=[database(size=3)])
    second_budget(scene, usable=24, same_server=True)
    scene.settle()
    lost = budget_manifest(name="other", usable=None)["status"]
    scene.cluster.edit("ConnectionBudget", "demo", "other", lambda live: {**live, "status": lost})
    scene.edit(pool=6)  # 3 × 6 and 3 × 3 beside it are 27
    scene.step()
    assert scene.claim == 15


def test_a_deleted_budget_beside_a_twin_is_no_room_to_grow_into() -> None:
    scene = Scene(usable=40, replicas=2, pool=5)
    second_budget(scene, usable=40, same_server=True)
    scene.settle()
    scene.cluster.edit_status("ConnectionBudget", "demo", "main", sharedWith=["demo/other"])
    scene.cluster.remove("ConnectionBudget", "demo", "other")
    scene.edit(pool=6)
    scene.settle()
    assert (scene.reason, scene.claim) == ("WaitingForBudget", 15)
    assert scene.message == (
        "Needs 18 connections, and budget demo/main has no valid reading of its server: demo/other, on the same server,"
        " was deleted, and pods or what makes them still connect to it; create it again, or delete the services and"
        " pods that do."
    )
    status = scene.cluster.read("ConnectionBudget", "demo", "main")["status"]
    assert (status["sharedWith"], status["free"]) == (["demo/other"], 0)


# ---- a service that moves


def test_a_move_that_grows_does_not_grow_where_it_leaves() -> None:
    scene = Scene(usable=15, replicas=2, pool=5)
    second_budget(scene, usable=40)
    scene.settle()
    scene.edit(budget="other", replicas=5)
    for _ in range(60):
        scene.step()
        scene.world.drain()  # whatever can make pods makes all that the guard lets it
        assert scene.world.open_connections("demo/main") <= scene.claim_on("demo", "main") <= 15
        assert scene.world.open_connections("demo/other") <= scene.claim
        moves = [move for move in scene.world.moves() if move.fair]
        if not moves:
            break
        moves[0].do()
    scene.world.run()
    scene.settle(steps=60)
    assert (scene.ready, scene.claim, scene.pods()) == ("True", 30, [5] * 5)


def test_a_move_that_grows_may_do_so_at_once_where_there_is_room() -> None:
    scene = Scene(usable=30, replicas=2, pool=5)
    second_budget(scene, usable=40)
    scene.settle()
    scene.edit(budget="other", replicas=5)
    scene.step()
    assert (scene.guard(), scene.claim, scene.claim_on("demo", "main")) == ("6", 30, 30)


@pytest.mark.parametrize(("budget", "bound"), [("main", 2 * 5 + 1 * 4), ("other", 2 * 5)])
def test_old_pods_that_nothing_can_make_again_are_all_there_will_be_unless_new_ones_connect_too(
    budget: str, bound: int
) -> None:
    key = BudgetKey("demo", "main")
    scene = Scene(replicas=2, pool=5)
    scene.settle()
    view = replace(scene.look(), makers=()).on(key)
    wanted = demand(a_service(replicas=2, pool=4, budget=budget), key)
    assert view.live().count == 10
    assert on_the_way(view, wanted).count >= bound
    assert (on_the_way(view, wanted).count == bound) == (budget == "other")
