"""Pods that outstay their grace period: the guard is lowered for them, and what is held for them is nobody's room."""

from __future__ import annotations

from support.scene import Scene


def overdue(scene: Scene, *, pods: int) -> None:
    """So many pods of the service have outstayed their grace period, and are replaced."""
    for pod in list(scene.cluster.of_kind("Pod"))[:pods]:
        scene.world.terminate(pod)
        scene.world.overstay(scene.cluster.read("Pod", "demo", pod["metadata"]["name"]))


def test_the_guard_is_lowered_by_overdue_pods_and_raised_again_when_they_are_gone() -> None:
    scene = Scene(replicas=3, pool=5, usable=20)
    scene.settle()
    overdue(scene, pods=2)
    scene.step()
    assert (scene.guard(), scene.claim) == ("2", 30), "until that is in force, six pods are possible"
    scene.make("quota")
    scene.step()
    assert scene.claim == 20
    scene.world.run()  # and with that they are gone
    scene.settle()
    assert (scene.guard(), scene.claim, scene.ready) == ("4", 20, "True")


def test_what_is_held_for_overdue_pods_is_no_room_to_grow_into() -> None:
    scene = Scene(replicas=3, pool=5, usable=20)
    scene.settle()
    overdue(scene, pods=2)
    scene.edit(pool=7)  # (3 + 1) × 7 = 28
    scene.step()
    assert scene.reason == "OverBudget"
    scene.world.run()
    scene.settle()
    assert (scene.claim, scene.pods()) == (20, [5, 5, 5])


def test_a_claim_that_an_overdue_pod_has_left_behind_is_no_room_either() -> None:
    scene = Scene(replicas=3, pool=5, usable=20)
    scene.settle()
    overdue(scene, pods=2)
    scene.step()
    assert scene.claim == 30
    for pod in [each for each in scene.cluster.of_kind("Pod") if "deletionTimestamp" in each["metadata"]]:
        scene.cluster.remove("Pod", "demo", pod["metadata"]["name"])
    scene.edit(pool=7)
    scene.step()
    assert (scene.reason, scene.claim) == ("OverBudget", 20)
