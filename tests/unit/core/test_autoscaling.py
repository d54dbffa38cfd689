"""Autoscaled workloads: who says how many replicas there are, on the way in and on the way out."""

from __future__ import annotations

from typing import Any

import pytest
from support.builders import group
from support.scene import Scene

CPU = {"resources": {"requests": {"cpu": "100m"}}}


def scaled(fewest: int, most: int) -> dict[str, Any]:
    return {"autoscaling": {"minReplicas": fewest, "maxReplicas": most}, **CPU}


def replicas(scene: Scene, name: str = "shop-web") -> int:
    number: int = scene.child("Deployment", name)["spec"]["replicas"]
    return number


def test_a_new_workload_starts_with_the_fewest_and_is_claimed_for_at_the_most() -> None:
    scene = Scene(replicas=1, pool=5, web=scaled(2, 4))
    scene.settle()
    assert (scene.ready, scene.claim, scene.guard(), replicas(scene)) == ("True", 25, "5", 2)
    assert scene.names("HorizontalPodAutoscaler") == ["shop-web"]


def test_once_the_autoscaler_has_a_say_the_operator_has_none() -> None:
    scene = Scene(replicas=1, pool=5, web=scaled(2, 4))
    scene.settle()
    scene.make("autoscaler sets shop-web to 4")
    scene.settle()
    assert (replicas(scene), len(scene.pods()), scene.ready) == (4, 4, "True")
    scene.edit(pool=6)
    scene.settle()
    assert (replicas(scene), scene.pods()) == (4, [6] * 4), "an edit of the template leaves the number alone"
    assert scene.status["readyPods"] == "4/4"


def test_the_number_of_before_is_kept_until_then() -> None:
    scene = Scene(replicas=3, pool=5)
    scene.settle()
    scene.edit(web=scaled(1, 5))
    scene.step()
    scene.make("quota")
    scene.step()
    assert replicas(scene) == 3, "a field that its only owner leaves out would fall back to 1"


def test_a_workload_of_none_gets_one_or_no_autoscaler_would_touch_it() -> None:
    scene = Scene(replicas=0, pool=5)
    scene.settle()
    scene.edit(web=scaled(1, 3))
    scene.settle()
    assert (replicas(scene), scene.ready) == (1, "True")


def test_switched_off_the_spec_says_again_how_many_there_are() -> None:
    scene = Scene(replicas=2, pool=5, web=scaled(1, 4))
    scene.settle()
    scene.make("autoscaler sets shop-web to 4")
    scene.settle()
    scene.edit(web=CPU)
    scene.settle()
    assert (replicas(scene), scene.names("HorizontalPodAutoscaler")) == (2, [])
    assert (scene.claim, scene.guard(), len(scene.pods())) == (15, "3", 2)


def test_a_lower_maximum_lowers_the_guard_first_and_the_claim_when_the_pods_have_gone() -> None:
    scene = Scene(replicas=1, pool=5, web=scaled(1, 4))
    scene.settle()
    scene.make("autoscaler sets shop-web to 4")
    scene.settle()
    scene.edit(web=scaled(1, 2))
    scene.step()
    assert (scene.guard(), scene.claim) == ("3", 25)
    scene.settle()
    assert (scene.guard(), scene.claim, len(scene.pods())) == ("3", 15, 2)


def test_without_a_request_for_cpu_there_is_nothing_to_aim_at() -> None:
    scene = Scene(jobs=(group(replicas=1, autoscaling={"minReplicas": 1, "maxReplicas": 2}),))
    scene.step()
    assert scene.reason == "InvalidSpec"
    assert "set resources.requests.cpu" in scene.message


@pytest.mark.parametrize("kind", ["Deployment", "HorizontalPodAutoscaler"])
def test_one_that_somebody_removes_comes_back(kind: str) -> None:
    scene = Scene(replicas=1, web=scaled(2, 4))
    scene.settle()
    scene.cluster.remove(kind, "demo", "shop-web")
    scene.world.run()
    scene.settle()
    assert (scene.names(kind), scene.ready, replicas(scene)) == (["shop-web"], "True", 2)
