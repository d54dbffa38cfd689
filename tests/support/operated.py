"""The operator on a twin of the API server, with a PostgreSQL server that answers as a test says."""

from __future__ import annotations

from base64 import b64encode
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from plimsoll.budget.capacity import ServerFacts
from plimsoll.errors import ProbeFailed
from plimsoll_operator.queue import Done, Key, Kind
from plimsoll_operator.reconcile import Reconciler
from plimsoll_operator.settings import Settings
from support.builders import NOW, budget_manifest, service_manifest
from support.kube_world import KubeWorld
from support.memory_cluster import MemoryCluster
from support.virtual_loop import virtual_loop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from plimsoll.api.meta import Manifest

PASSWORD = "hunter2"
BUDGET = Key(Kind.BUDGET, "demo", "main")
SHOP = Key(Kind.SERVICE, "demo", "shop")


def key(name: str) -> Key:
    return Key(Kind.SERVICE, "demo", name)


def secret(name: str = "shop-db", **data: str) -> Manifest:
    values = data or {"DATABASE_URL": f"postgresql://owner:{PASSWORD}@db/app"}
    encoded = {name: b64encode(value.encode()).decode() for name, value in values.items()}
    return {"kind": "Secret", "metadata": {"namespace": "demo", "name": name}, "data": encoded}


def facts(max_connections: int = 100, **more: Any) -> ServerFacts:
    usual: dict[str, Any] = {
        "version": "17",
        "superuser_reserved": 3,
        "reserved": 0,
        "role_limit": None,
        "database_limit": None,
        "backends": {"psql": 7},
    }
    return ServerFacts(max_connections=max_connections, **usual | more)


class Operated:
    """A cluster with the operator in it; the reconciler is called directly, as the queue would."""

    def __init__(self, *, admission: bool = False) -> None:
        self.cluster = MemoryCluster()
        self.world = KubeWorld(self.cluster, clock=lambda: self.now)
        self.woken: list[Key] = []
        self.now = NOW
        self.answer: ServerFacts | ProbeFailed = facts()
        self.asked: list[str] = []
        self.reconciler = Reconciler.build(
            cluster=self.cluster,
            settings=Settings(admission=admission),
            wake=self.woken.append,
            clock=lambda: self.now,
        )

    def budget(self, **wishes: Any) -> None:
        """A budget, its Secret, and a first reading."""
        self.cluster.put(secret())
        self.cluster.put(budget_manifest(usable=None, **wishes))
        self.look(BUDGET)

    def service(self, name: str = "shop", **wishes: Any) -> Key:
        manifest = service_manifest(name, **wishes)
        del manifest["metadata"]["uid"]
        self.cluster.put(manifest)
        return key(name)

    def look(self, at: Key = SHOP) -> Done:
        """One reconcile."""
        with virtual_loop() as loop, patch("plimsoll_operator.budgets.probe", self._probe):
            return loop.run_until_complete(self.reconciler.reconcile(at))

    def settle(self, *keys: Key, rounds: int = 30) -> None:
        """Reconciles and moves of the world, until neither writes any more."""
        for _ in range(rounds):
            before = dict(self.cluster.objects)
            for each in keys or (SHOP,):
                self.look(each)
            assert self.world.run()
            if before == self.cluster.objects:
                return
        raise AssertionError("it does not come to rest")

    def edit(self, name: str = "shop", **wishes: Any) -> None:
        spec = service_manifest(name, **wishes)["spec"]
        self.cluster.edit("FastAPIService", "demo", name, lambda live: {**live, "spec": spec})

    def writes(self) -> list[str]:
        """What the operator has written since this was last asked."""
        made = [str(call) for call in self.cluster.calls if call.writes]
        self.cluster.calls.clear()
        return made

    def condition(self, name: str = "shop", type_: str = "Ready") -> Manifest:
        return _condition(self.cluster.read("FastAPIService", "demo", name), type_)

    def budget_condition(self, type_: str = "Ready") -> Manifest:
        return _condition(self.cluster.read("ConnectionBudget", "demo", "main"), type_)

    def claims(self, name: str = "main") -> dict[str, int]:
        """Who holds how much; of several under one name, all together."""
        sums: dict[str, int] = {}
        for each in self.cluster.read("ConnectionBudget", "demo", name)["status"].get("claims", []):
            sums[each["name"]] = sums.get(each["name"], 0) + each["connections"]
        return sums

    async def _probe(self, uri: str, *, connect_timeout_seconds: int) -> ServerFacts:
        self.asked.append(uri)
        if isinstance(self.answer, ProbeFailed):
            raise self.answer
        return self.answer


def _condition(manifest: Manifest, type_: str) -> Manifest:
    return next(each for each in manifest["status"]["conditions"] if each["type"] == type_)


@contextmanager
def refusing(cluster: MemoryCluster, text: str, error: Exception) -> Iterator[None]:
    """Fails every call whose words contain ``text``."""

    async def gate(call: object) -> None:
        if text in str(call):
            raise error

    before, cluster.gate = cluster.gate, gate
    try:
        yield
    finally:
        cluster.gate = before
