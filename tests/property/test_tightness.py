"""Close to the line: the bounds are reached, so that a looser formula would be noticed.

Schedules by hand, over the same model of a cluster that the machines use: what the pods could open comes to exactly the
claim, and the claim to exactly what is usable.
"""

from __future__ import annotations

from typing import Any

import pytest
from plimsoll.budget.demand import Overlap
from support.builders import group
from support.scene import Scene


def crowd(scene: Scene, *, steps: int = 400) -> int:
    """Everything happens but that a terminating pod is gone; the most that the pods could open meanwhile."""
    most = 0
    for _ in range(steps):
        scene.step()
        moves = [move for move in scene.world.moves() if move.fair and not move.name.endswith("is gone")]
        if not moves:
            return most
        moves[0].do()
        most = max(most, scene.world.open_connections("demo/main"))
        assert most <= scene.claim
    raise AssertionError("it does not come to rest")


@pytest.mark.parametrize(
    "wishes",
    [
        pytest.param({"replicas": 3, "pool": 5}, id="web"),
        pytest.param({"replicas": 2, "pool": 4, "workers": 2, "overflow": 1, "extra": 1}, id="every term of a pod"),
        pytest.param({"replicas": 2, "surge": 2, "jobs": (group(replicas=2, connections=3),)}, id="jobs"),
        pytest.param({"replicas": 3, "surge": 0, "unavailable": 1}, id="no surge"),
        pytest.param(
            {
                "replicas": 1,
                "web": {
                    "autoscaling": {"minReplicas": 2, "maxReplicas": 4},
                    "resources": {"requests": {"cpu": "1"}},
                },
            },
            id="an autoscaler",
        ),
    ],
)
def test_a_rollout_under_the_guard_opens_all_that_is_claimed_and_all_that_is_usable(wishes: dict[str, Any]) -> None:
    usable = Scene(usable=1000, **wishes)
    usable.settle()
    scene = Scene(usable=usable.claim, **wishes)
    scene.settle()
    if "web" in wishes:
        scene.make("to 4")
        scene.settle()
    scene.edit(image="shop:2")
    assert crowd(scene) == scene.claim == usable.claim
    one_less = Scene(usable=usable.claim - 1, **wishes)
    one_less.settle()
    assert one_less.reason == "OverBudget"


def test_a_migration_runs_beside_all_that_the_guards_allow() -> None:
    scene = Scene(usable=15 + 3, replicas=2, pool=5, migration=3)
    scene.settle()
    scene.edit(image="shop:2")
    scene.step()
    scene.make("migrate-", times=1)  # its pod is made
    scene.world.drain()
    assert scene.world.open_connections("demo/main") == 15 + 3 == scene.claim


# ---- without a guard


@pytest.mark.parametrize(("replicas", "surge", "unavailable"), [(3, 1, 0), (4, 2, 1), (3, 0, 1)])
def test_without_a_guard_one_rollout_and_one_drain_come_to_exactly_what_is_counted(
    replicas: int, surge: int, unavailable: int
) -> None:
    scene = Scene(overlap=Overlap.COUNTED, replicas=replicas, surge=surge, unavailable=unavailable, pool=1)
    scene.settle()
    assert scene.claim == 3 * replicas
    scene.edit(image="shop:2")
    assert crowd(scene) == 2 * replicas, "one rollout: every old pod terminates beside every new one"
    scene.world.drain()
    assert scene.world.open_connections("demo/main") == 3 * replicas == scene.claim


def test_without_a_guard_a_second_rollout_waits_for_the_last_terminating_pod() -> None:
    scene = Scene(overlap=Overlap.COUNTED, replicas=3, pool=1)
    scene.settle()
    scene.edit(image="shop:2")
    crowd(scene)
    scene.edit(image="shop:3")
    before = scene.child("Deployment", "shop-web")["spec"]
    scene.step()
    assert (scene.reason, scene.child("Deployment", "shop-web")["spec"]) == ("WaitingForQuiet", before)
    scene.world.run()
    scene.settle()
    container = scene.child("Deployment", "shop-web")["spec"]["template"]["spec"]["containers"][0]
    assert (scene.ready, container["image"], scene.claim) == ("True", "shop:3", 9)


def test_without_a_guard_an_autoscaler_may_take_its_pods_down_meanwhile() -> None:
    scaled = {"autoscaling": {"minReplicas": 1, "maxReplicas": 4}, "resources": {"requests": {"cpu": "1"}}}
    scene = Scene(overlap=Overlap.COUNTED, replicas=1, pool=1, web=scaled)
    scene.settle()
    scene.make("to 4")
    scene.settle()
    scene.edit(image="shop:2")
    most = crowd(scene)
    scene.make("to 1")
    crowd(scene)
    scene.make("to 4")
    crowd(scene)
    scene.world.drain()
    there = scene.world.open_connections("demo/main")
    assert most == 8
    assert there == scene.claim == 4 + 1 + 3 + 3 + 4, "8 of the rollout, 3 taken down and made again, 4 drained"
