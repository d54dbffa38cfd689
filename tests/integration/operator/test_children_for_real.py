"""What a real API server makes of our children and our questions: nothing is written twice, no Secret is read."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from plimsoll.render import deployment, disruption, migration
from plimsoll.render.stamp import has_foreign_items, is_current, stamped
from plimsoll_operator.cluster import Cluster
from support.apiserver import api_server
from support.builders import a_service, group

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from typing import TypeVar

    from plimsoll.api.fastapiservice import FastAPIService
    from plimsoll.api.meta import Manifest
    from support.api import Api

    T = TypeVar("T")

pytestmark = pytest.mark.integration

NAMESPACE = "children"


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with api_server() as api:
        api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}).must()
        yield api
        if not api.own:
            api.delete({"kind": "Namespace", "metadata": {"name": NAMESPACE}})


def ask(api: Api, question: Callable[[Cluster], Awaitable[T]]) -> T:
    """What the operator's own client answers."""

    async def asked() -> T:
        cluster = await Cluster.connect(kubeconfig=str(api.kubeconfig))
        try:
            return await question(cluster)
        finally:
            await cluster.close()

    return asyncio.run(asked())


def service(**wishes: Any) -> FastAPIService:
    return a_service(namespace=NAMESPACE, jobs=(group(),), migration=1, **wishes)


FULL: Manifest = {
    "envFrom": [{"prefix": "A_", "secretRef": {"name": "keys"}}, {"configMapRef": {"name": "settings"}}],
    "pod": {
        "serviceAccountName": "shop",
        "imagePullSecrets": [{"name": "registry"}],
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "dedicated", "value": "web", "effect": "NoSchedule"}, {"operator": "Exists"}],
    },
    "shutdown": {"preStopSeconds": 3},
    "unavailable": 1,
}


def children(of: FastAPIService) -> list[Manifest]:
    assert of.spec.migrations is not None
    made = [
        deployment.configured(deployment.web(of), versions="Secret/keys=0123"),
        deployment.jobs(of, of.spec.jobs[0]),
        disruption.disruption_budget(of, part="web", target="shop-web"),
        migration.job(of, of.spec.migrations),
    ]
    return [stamped(each) for each in made]


@pytest.mark.parametrize("wishes", [{}, FULL], ids=["plain", "full"])
def test_a_child_that_was_applied_is_current_as_the_api_server_gives_it_back(api: Api, wishes: Manifest) -> None:
    for wanted in children(service(**{"image": f"shop:{len(wishes)}", **wishes})):
        live = ask(api, lambda cluster, each=wanted: cluster.apply(each))  # type: ignore[misc]
        assert is_current(live=live, wanted=wanted)
        assert not has_foreign_items(live=live, wanted=wanted)


def test_what_the_spec_no_longer_says_is_gone(api: Api) -> None:
    for each in (service(**FULL), service()):
        live = ask(api, lambda cluster, one=each: cluster.apply(stamped(deployment.web(one))))  # type: ignore[misc]
    pod = live["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == pod["serviceAccount"] == "default"
    assert not {"imagePullSecrets", "nodeSelector", "tolerations"} & set(pod)
    assert "envFrom" not in pod["containers"][0]
    assert "plimsoll.dev/config" not in live["spec"]["template"]["metadata"]["annotations"]


def test_of_a_secret_only_the_metadata_is_asked_for(api: Api) -> None:
    meta = {"name": "keys", "namespace": NAMESPACE}
    api.create({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": {"KEY": "hunter2"}}).must()
    seen = ask(api, lambda cluster: cluster.get_metadata("Secret", NAMESPACE, "keys"))
    assert seen["uid"]
    assert seen["resourceVersion"]
    assert seen["managedFields"][0]["time"]
    assert "aHVudGVyMg" not in json.dumps(seen)
