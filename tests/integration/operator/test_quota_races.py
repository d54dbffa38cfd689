"""How far creates that race can get past a guard: on a real API server with the real controllers, counted exactly.

A quota is checked against a sum that its controller writes late, so creates that arrive while it is counted anew may
pass together. What a Deployment can race with is its own next step: as many pods at once as its rollout allows.
Rolled over without pause, with pods that take their time to go, the guard is never passed by a rollout of single
steps; a rollout of many pods at once may pass it, by no more than the margin's one pod. Pods are counted in the order
of etcd, from a watch.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any, Self

import pytest
from plimsoll.api.fastapiservice import FastAPIService
from plimsoll.render import deployment, guard
from support.apiserver import api_server
from support.builders import service_manifest
from support.eventually import eventually
from support.kubelet import Kubelet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from plimsoll.api.meta import Manifest
    from support.api import Api

pytestmark = pytest.mark.integration

ROLLOUTS = 4
MARGIN_PODS = 1
"""What a budget keeps back unless it says otherwise: one pod of the dearest kind."""


class Census:
    """The most pods that ever existed at once, and how many there were in all."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api, self._path = api, f"/api/v1/namespaces/{namespace}/pods"
        self._there: set[str] = set()
        self.most, self.born = 0, 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(30)  # its namespace is empty then, which is where it ends
        assert not self._thread.is_alive()

    def _run(self) -> None:
        query = {"watch": "1", "resourceVersion": "0"}
        with self._api.http.stream("GET", self._path, params=query, timeout=None) as events:
            for line in events.iter_lines():
                event = json.loads(line)
                uid = event["object"]["metadata"]["uid"]
                if event["type"] == "DELETED":
                    self._there.discard(uid)
                    if not self._there:
                        return
                elif uid not in self._there:
                    self._there.add(uid)
                    self.born += 1
                    self.most = max(self.most, len(self._there))


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with api_server("deployment", "replicaset", "resourcequota", "garbagecollector") as api:
        if not api.own:
            pytest.skip("the kubelet of a cluster that is used by others does not pretend")
        with Kubelet(api, looks=20):  # a second, so that without a guard leaving pods pile up
            yield api


@pytest.mark.parametrize(("replicas", "surge", "unavailable", "over"), [(6, 1, 0, 0), (8, 4, 4, MARGIN_PODS)])
def test_rollouts_without_pause_stay_within_guard_and_margin(
    api: Api, replicas: int, surge: int, unavailable: int, over: int
) -> None:
    assert replicas < most_pods(api, replicas, surge, unavailable, guarded=True) <= replicas + surge + over


def test_without_a_guard_they_do_not(api: Api) -> None:
    assert most_pods(api, 6, 1, 0, guarded=False) > 6 + 1 + MARGIN_PODS


def most_pods(api: Api, replicas: int, surge: int, unavailable: int, *, guarded: bool) -> int:
    """The most pods that existed at once."""
    namespace = f"races-{surge}-{guarded}".lower()
    service = _service(namespace, replicas=replicas, surge=surge, unavailable=unavailable)
    web = deployment.web(service)
    part = web["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"]
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}).must()
    api.create(_free(guard.priority_class(service, part))).must()
    pods = replicas + surge if guarded else 1000
    quota = api.create(_free(guard.quota(service, part, pods=pods, full=pods))).must()
    eventually(lambda: "hard" in api.get("ResourceQuota", quota["metadata"]["name"], namespace).body["status"])
    with Census(api, namespace) as census:
        for round_ in range(ROLLOUTS):
            web["spec"]["template"]["metadata"]["annotations"]["round"] = str(round_)
            api.apply(_free(web)).must()
            eventually(lambda: _is_done(api, web), within=120)
        api.scale(web, 0).must()
    assert census.born >= ROLLOUTS * replicas, "every rollout replaced every pod"
    return census.most


def _service(namespace: str, *, replicas: int, surge: int, unavailable: int) -> FastAPIService:
    manifest = service_manifest(namespace=namespace, replicas=replicas, surge=surge, unavailable=unavailable)
    return FastAPIService.model_validate(manifest)


def _free(manifest: Manifest) -> Manifest:
    """The same without an owner, which the garbage collector would look for."""
    meta: dict[str, Any] = {key: value for key, value in manifest["metadata"].items() if key != "ownerReferences"}
    return {**manifest, "metadata": meta}


def _is_done(api: Api, web: Manifest) -> bool:
    live = api.get("Deployment", web["metadata"]["name"], web["metadata"]["namespace"]).must()
    status, wanted = live.get("status", {}), live["spec"]["replicas"]
    return status.get("observedGeneration") == live["metadata"]["generation"] and (
        status.get("updatedReplicas") == status.get("availableReplicas") == status.get("replicas") == wanted
    )
