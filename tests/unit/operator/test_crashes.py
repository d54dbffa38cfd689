"""The operator ends after any one of its writes to the API server, and another one finishes what it left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from support.builders import NOW, budget_manifest, group, service_manifest
from support.kube_world import KubeWorld
from support.memory_cluster import MemoryCluster
from support.operated import BUDGET, SHOP, facts, secret
from support.stepper import Stepper
from support.virtual_loop import virtual_loop

if TYPE_CHECKING:
    from plimsoll.api.meta import Manifest

STORIES: dict[str, tuple[Manifest, Manifest | None]] = {
    "a new service": ({"replicas": 2, "migration": 1, "jobs": (group(),)}, None),
    "a larger pool": ({"replicas": 2, "pool": 5}, {"replicas": 2, "pool": 8}),
    "a smaller pool and more replicas": ({"replicas": 2, "pool": 8}, {"replicas": 4, "pool": 4}),
    "a job group that goes": ({"jobs": (group(), group("mail"))}, {"jobs": (group("mail"),)}),
    "a new image with a migration": ({"migration": 2}, {"migration": 2, "image": "shop:2"}),
}


def play(story: str, *, crash_after: int | None) -> tuple[int, Manifest]:
    """The number of writes until rest, and what is there in the end."""
    first, then = STORIES[story]
    writes = 0

    async def probe(*_: Any, **__: Any) -> Any:
        return facts()

    with virtual_loop() as loop, patch("plimsoll_operator.budgets.probe", probe):
        cluster = MemoryCluster()
        world = KubeWorld(cluster)
        stepper = Stepper(cluster, loop, clock=lambda: NOW)

        def check(_: Manifest) -> None:
            claims = cluster.read("ConnectionBudget", "demo", "main")["status"].get("claims", [])
            assert world.open_connections() <= sum(each["connections"] for each in claims)

        def rest() -> None:
            nonlocal writes
            for _ in range(40):
                before = dict(cluster.objects)
                while stepper.done.pop(SHOP, None) is None:
                    made = stepper.step(SHOP)
                    if made is not None and made.writes:
                        writes += 1
                        if writes == crash_after:
                            stepper.crash()
                world.run()
                if before == cluster.objects:
                    return
            raise AssertionError("it does not come to rest")

        world.on_pod = check
        cluster.put(secret())
        cluster.put(budget_manifest(usable=None))
        stepper.finish(BUDGET)
        cluster.put(service_manifest(**first))
        rest()
        if then is not None:
            spec = service_manifest(**first | then)["spec"]
            cluster.edit("FastAPIService", "demo", "shop", lambda live: {**live, "spec": spec})
            rest()
        stepper.crash()
    return writes, _end(cluster)


def _end(cluster: MemoryCluster) -> Manifest:
    """What there is, without what depends on how often it was written."""
    budget = cluster.read("ConnectionBudget", "demo", "main")
    service = cluster.read("FastAPIService", "demo", "shop")
    children = {
        ref: each.get("spec")
        for ref, each in cluster.objects.items()
        if ref[0] in {"Deployment", "ResourceQuota", "Service", "PriorityClass"}
    }
    jobs = sorted(name for kind, _, name in cluster.objects if kind == "Job")
    return {
        "claims": budget["status"]["claims"],
        "status": service["status"],
        "children": children,
        "jobs": jobs,
    }


@pytest.mark.parametrize("story", STORIES)
def test_wherever_it_ends_another_one_arrives_at_the_same_place(story: str) -> None:
    writes, expected = play(story, crash_after=None)
    assert writes > 5
    for write in range(1, writes + 1):
        _, arrived = play(story, crash_after=write)
        assert arrived == expected, f"after a crash between write {write} and the next call"
