"""A node drain asks for one eviction after the other: the real disruption controller lets one pod of a workload go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from plimsoll.render import deployment, disruption
from support.apiserver import api_server
from support.builders import a_service
from support.eventually import eventually
from support.kubelet import Kubelet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from plimsoll.api.meta import Manifest
    from support.api import Api

pytestmark = pytest.mark.integration

NAMESPACE = "drained"
SHOP = a_service(namespace=NAMESPACE, replicas=2)


@pytest.fixture
def api() -> Iterator[Api]:
    with api_server("deployment", "replicaset", "disruption") as api:
        if not api.own:
            pytest.skip("it pretends to be every kubelet, and takes a cluster of its own for that")
        api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}).must()
        yield api


def evict(api: Api, pod: Manifest) -> int:
    """What `kubectl drain` asks for; the status of the answer."""
    name = pod["metadata"]["name"]
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": NAMESPACE}}
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{name}/eviction"
    return int(api.http.post(path, json=eviction).status_code)


def pods(api: Api) -> list[Manifest]:
    return [pod for pod in api.list("Pod") if "deletionTimestamp" not in pod["metadata"]]


def allowed(api: Api) -> int:
    (budget,) = api.list("PodDisruptionBudget")
    return int(budget.get("status", {}).get("disruptionsAllowed", 0))


def test_of_two_pods_one_may_go_and_the_other_when_that_one_is_replaced(api: Api) -> None:
    api.apply(deployment.unguarded(deployment.web(SHOP))).must()
    api.apply(disruption.disruption_budget(SHOP, part="web", target="shop-web")).must()
    with Kubelet(api) as kubelet:
        eventually(lambda: allowed(api) == 1, within=30)
        first, second = pods(api)
        kubelet.pause()
        assert evict(api, first) == 201
        assert evict(api, second) == 429
        kubelet.go_on()
        eventually(lambda: allowed(api) == 1, within=30)
        eventually(lambda: evict(api, second) == 201, within=30)


def test_pods_that_are_not_ready_do_not_block_a_drain(api: Api) -> None:
    api.apply(deployment.unguarded(deployment.web(SHOP))).must()
    api.apply(disruption.disruption_budget(SHOP, part="web", target="shop-web")).must()
    eventually(lambda: len(pods(api)) == 2, within=30)
    crashing = {"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]}
    for each in pods(api):
        api.set_status({"kind": "Pod", **each}, crashing).must()
    eventually(lambda: api.list("PodDisruptionBudget")[0].get("status", {}).get("expectedPods") == 2, within=30)
    assert allowed(api) == 0
    assert [evict(api, each) for each in pods(api)] == [201, 201]
