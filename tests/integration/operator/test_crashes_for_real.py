"""The operator is ended between any two of its writes, on a real API server with the real controllers.

One story (a service comes, changes its shape, loses a job group, goes) is told once undisturbed; then once for every
write that it took, with an end right after it, and once with an end before the first: an end before any other write
leaves behind what the end after the one before it does, since nothing is remembered but in the cluster. All arrive at
the same place, and at no moment could the pods that exist open more than was claimed. The database is real as
well; only the kubelet pretends.
"""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml
from plimsoll.errors import Retryable
from plimsoll.observed import running
from plimsoll_operator.cluster import Cluster
from plimsoll_operator.queue import Key, Kind
from plimsoll_operator.reconcile import Reconciler
from plimsoll_operator.settings import Settings
from support.apiserver import api_server
from support.builders import budget_manifest, group, service_manifest
from support.helm import ROOT
from support.kubelet import Kubelet
from support.postgres import PrivatePostgres

if TYPE_CHECKING:
    from collections.abc import Iterator

    from plimsoll.api.meta import Manifest
    from support.api import Api

pytestmark = pytest.mark.integration

CONTROLLERS = ("deployment", "replicaset", "resourcequota", "garbagecollector", "job", "namespace")
WRITES = ("apply", "overwrite", "create", "delete", "replace_status", "merge_status")
AT_ONCE = 6
"""Tellings that go on beside each other, each in a namespace of its own."""

SHAPES: Final[tuple[Manifest, ...]] = (
    {"replicas": 2, "pool": 3, "migration": 1, "jobs": (group("ocr", replicas=1),)},
    {"replicas": 3, "pool": 2, "migration": 1, "image": "shop:2"},
)


class EndedError(Exception):
    """The operator's process is no more."""


class EndingCluster(Cluster):
    """A client that ends the operator before its first write, or after a later one."""

    async def _request(self, method: str, path: str, **arguments: Any) -> Manifest:
        plan: Plan = self.plan
        if method == "GET" or "/events" in path:
            return await super()._request(method, path, **arguments)
        plan.writes += 1
        if plan.ends_after == 0:
            plan.ends_after = None
            raise EndedError
        answer = await super()._request(method, path, **arguments)
        if plan.ends_after == plan.writes:
            raise EndedError
        return answer

    plan: Plan


@dataclass
class Plan:
    """When the operator ends."""

    ends_after: int | None = None
    """So many writes; ``None`` for never."""

    writes: int = 0


@dataclass
class Telling:
    """The story in one namespace."""

    api: Api
    uri: str
    namespace: str
    plan: Plan
    ends: list[Manifest] = field(default_factory=list)
    _lives: int = 0

    async def tell(self) -> list[Manifest]:
        """What there was after each chapter."""
        self._set_up()
        await self._live()
        try:
            for shape in SHAPES:
                self.api.apply(self._service(shape)).must()
                await self._until(self._is_settled)
                self.ends.append(self._what_there_is())
                await self._look()  # what may be left over is said now
                writes = self.plan.writes
                await self._look()
                assert self.plan.writes == writes, "it writes though nothing has changed"
            self.api.delete(self._service(SHAPES[-1]))
            await self._until(self._is_gone)
        finally:
            await self._cluster.close()
        return self.ends

    def _set_up(self) -> None:
        self.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}).must()
        data = {"DATABASE_URL": base64.b64encode(self.uri.encode()).decode()}
        meta = {"name": "shop-db", "namespace": self.namespace}
        self.api.create({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": data}).must()
        budget = budget_manifest(namespace=self.namespace, usable=None)
        self.api.create(_new(budget)).must()

    async def _live(self) -> None:
        """A new operator."""
        cluster = await EndingCluster.connect(namespaces=(self.namespace,), kubeconfig=str(self.api.kubeconfig))
        cluster.plan = self.plan
        self._lives += 1
        self._cluster, self._due = cluster, {Key(Kind.BUDGET, self.namespace, "main"), self._key}
        self._reconciler = Reconciler.build(cluster=cluster, settings=Settings(), wake=self._due.add)

    @property
    def _key(self) -> Key:
        return Key(Kind.SERVICE, self.namespace, "shop")

    async def _until(self, is_so: Any) -> None:
        async with asyncio.timeout(60):
            while not await asyncio.to_thread(is_so):
                await self._look()
                await asyncio.to_thread(self._check)

    async def _look(self) -> None:
        """The operator looks at everything, as its watches and timers would have it do."""
        try:
            for key in [*self._due, self._key]:
                self._due.discard(key)
                await self._reconciler.reconcile(key)
        except EndedError:
            await self._cluster.close()
            await self._live()
        except Retryable:
            """Somebody else wrote first: the queue would try again."""

    def _check(self) -> None:
        before = self._claimed()
        could = sum(view.connections.count for view in running(self.api.list("Pod", self.namespace)))
        claimed = max(before, self._claimed())
        assert could <= claimed, f"pods could open {could}, claimed are {claimed}"

    def _claimed(self) -> int:
        budget = self.api.get("ConnectionBudget", "main", self.namespace).must()
        return sum(claim["connections"] for claim in budget.get("status", {}).get("claims", []))

    def _is_settled(self) -> bool:
        service = self.api.get("FastAPIService", "shop", self.namespace).must()
        status, plan = service["status"], service["status"].get("plan", {})
        ready = next((each["status"] for each in status.get("conditions", []) if each["type"] == "Ready"), "")
        current = status["observedGeneration"] == service["metadata"]["generation"]
        exact = plan.get("granted") == plan.get("connections") == self._claimed()
        return current and ready == "True" and exact and not self._terminating()

    def _terminating(self) -> bool:
        return any("deletionTimestamp" in pod["metadata"] for pod in self.api.list("Pod", self.namespace))

    def _is_gone(self) -> bool:
        kinds = ("Pod", "Deployment", "ResourceQuota", "Job", "Service")
        left = [each for kind in kinds for each in self.api.list(kind, self.namespace)]
        return self._claimed() == 0 and not left

    def _service(self, shape: Manifest) -> Manifest:
        return _new(service_manifest(namespace=self.namespace, **shape))

    def _what_there_is(self) -> Manifest:
        """What an undisturbed operator would have made too, without names that are drawn by lot."""
        quotas = [each["spec"]["hard"]["pods"] for each in self.api.list("ResourceQuota", self.namespace)]
        pods = [pod["metadata"]["annotations"] for pod in self.api.list("Pod", self.namespace) if _runs(pod)]
        return {
            "claimed": self._claimed(),
            "quotas": sorted(quotas),
            "pods": sorted(each["plimsoll.dev/connections"].partition("=")[2] for each in pods),
            "deployments": sorted(each["metadata"]["name"] for each in self.api.list("Deployment", self.namespace)),
            "jobs": sorted(each["metadata"]["name"] for each in self.api.list("Job", self.namespace)),
        }


def _new(manifest: Manifest) -> Manifest:
    meta = {key: manifest["metadata"][key] for key in ("name", "namespace")}
    return {**{key: value for key, value in manifest.items() if key != "status"}, "metadata": meta}


def _runs(pod: Manifest) -> bool:
    return bool(pod["status"]["phase"] == "Running")


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with api_server(*CONTROLLERS) as api:
        if not api.own:
            pytest.skip("its pods would be real on the cluster of $KUBECONFIG: the kind tier has them")
        for crd in yaml.safe_load_all((ROOT / "chart/files/crds.yaml").read_text()):
            api.define(crd)
        with Kubelet(api):
            yield api


@pytest.fixture(scope="module")
def uri() -> Iterator[str]:
    with PrivatePostgres(max_connections=60) as server:
        yield server.url()


def test_wherever_it_ends_it_arrives_at_the_same_place_and_never_over_the_line(api: Api, uri: str) -> None:
    undisturbed = Plan()
    expected = asyncio.run(Telling(api, uri, "undisturbed", undisturbed).tell())
    assert [each["claimed"] for each in expected] == [3 * 3 + 2 * 2 + 1, 4 * 2 + 1]
    ends = range(undisturbed.writes + 1)

    async def tell_all() -> None:
        queue = iter(ends)
        while batch := list(islice(queue, AT_ONCE)):
            tellings = [Telling(api, uri, f"end-after-{writes}", Plan(ends_after=writes)) for writes in batch]
            arrived = await asyncio.gather(*(telling.tell() for telling in tellings))
            for telling, ended in zip(tellings, arrived, strict=True):
                plan = telling.plan  # how often a status is written depends on how fast the world is
                assert telling._lives == 2 or plan.writes <= (plan.ends_after or 0), telling.namespace
                assert ended == expected, telling.namespace

    asyncio.run(tell_all())
