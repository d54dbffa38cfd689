"""What holds though a service is refused: guards for overdue pods, and against whoever raises one."""

from __future__ import annotations

from typing import Any

from support.builders import budget_manifest, claim
from support.scene import Scene

QUOTA = "plimsoll-demo-shop-web-00000001"


def lost(scene: Scene, *, pods: int) -> None:
    """A node with so many pods cannot be asked any more."""
    for pod in list(scene.cluster.of_kind("Pod"))[:pods]:
        scene.world.terminate(pod)
        scene.world.overstay(scene.cluster.read("Pod", "demo", pod["metadata"]["name"]))


def test_a_service_that_is_refused_has_its_guard_lowered_for_a_lost_node_too() -> None:
    scene = Scene(replicas=3, pool=5, usable=20)
    scene.settle()
    scene.edit(pool=50)
    scene.settle()
    lost(scene, pods=2)
    scene.step()
    assert (scene.reason, scene.guard()) == ("OverBudget", "2")
    scene.world.run()
    scene.settle()
    assert (scene.reason, scene.guard(), scene.claim, scene.pods()) == ("OverBudget", "4", 20, [5, 5, 5])


def test_so_has_one_whose_spec_makes_no_sense() -> None:
    scene = Scene(replicas=3, pool=5, usable=20)
    scene.settle()
    scene.edit(web={"autoscaling": {"maxReplicas": 5}})
    lost(scene, pods=1)
    scene.step()
    assert (scene.reason, scene.guard()) == ("InvalidSpec", "3")
    granted = scene.condition("BudgetGranted")
    assert (granted["status"], granted["reason"]) == ("Unknown", "InvalidSpec")


def test_a_quota_that_somebody_raises_is_no_licence_to_grow() -> None:
    scene = Scene(budget=budget_manifest(usable=91, claims=(claim(9, 70, "other"),)), replicas=2, pool=5)
    scene.settle()
    scene.edit(replicas=10)
    scene.settle()
    assert scene.reason == "OverBudget"
    scene.cluster.edit_spec("ResourceQuota", "demo", QUOTA, hard={"pods": "100"})
    scene.settle(steps=60)
    assert (scene.reason, scene.guard(), scene.claim, scene.pods()) == ("OverBudget", "3", 15, [5, 5])


def test_a_migration_that_opens_more_than_it_declares_is_counted_and_stops_nothing() -> None:
    scene = Scene(replicas=2, pool=5, migration=1)
    scene.settle()
    who = {"namespace": "demo", "name": "shop", "uid": "00000001-0000-4000-8000-000000000000"}
    seen: dict[str, Any] = {**who, "overdrafts": [{"part": "migration", "connections": 5, "seenTime": scene.now}]}
    scene.cluster.edit_status("ConnectionBudget", "demo", "main", usage=[seen])
    scene.settle()
    assert (scene.ready, scene.claim) == ("True", 16 + 5)
    assert scene.condition("WithinDeclared")["status"] == "False"


def test_empty_resources_are_left_alone() -> None:
    scene = Scene(web={"resources": {"limits": {}, "requests": None}})
    scene.settle()
    live = scene.child("Deployment", "shop-web")
    spec = {**live["spec"], "template": {**live["spec"]["template"]}}
    (container,) = spec["template"]["spec"]["containers"]
    bare = {key: value for key, value in container.items() if key != "resources"} | {"resources": {}}
    spec["template"] = {**spec["template"], "spec": {**spec["template"]["spec"], "containers": [bare]}}
    scene.cluster.edit_spec("Deployment", "demo", "shop-web", **spec)  # as the API server would have stored it
    scene.world.run()
    decision = scene.step()
    assert decision.step.is_empty
