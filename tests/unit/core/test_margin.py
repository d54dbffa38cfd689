"""The margin as it follows from what services have: the dearest pod that can exist."""

from __future__ import annotations

from support.builders import budget_manifest, group
from support.scene import Scene


def test_a_workload_of_no_pods_widens_no_margin() -> None:
    dear = group("ocr", replicas=0, processes=2, connections=4)
    scene = Scene(budget=budget_manifest(usable=15, margin=None), replicas=1, pool=5, jobs=(dear,))
    scene.settle()
    assert (scene.ready, scene.claim) == ("True", 10)
    (held,) = scene.cluster.read("ConnectionBudget", "demo", "main")["status"]["claims"]
    assert held["perPod"] == 5, "its guard lets none of the dear ones exist"
