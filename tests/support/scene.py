"""One service among its children, with the core alone: ``step`` looks, decides, carries out and reports, as the shell.

The world around (controllers, kubelets, quota admission) is the model of ``kube_world``; nothing happens in it unless a
test says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from plimsoll import budget_report
from plimsoll.api.connectionbudget import ConnectionBudget
from plimsoll.api.fastapiservice import FastAPIService
from plimsoll.decide import Decision, decide, ledger_of
from plimsoll.observed import Observed, makers, running
from plimsoll.render.names import SERVICE_UID
from plimsoll.report import report
from plimsoll.units import NONE
from support.builders import NOW, budget_manifest, service_manifest, uid
from support.kube_world import KubeWorld
from support.memory_cluster import MemoryCluster

if TYPE_CHECKING:
    from plimsoll.api.meta import Manifest

UID = uid(1)
_MAKERS = {"Deployment", "ReplicaSet", "Job"}


class Scene:
    """The service ``shop``, its budget ``main`` and what becomes of both."""

    def __init__(self, *, usable: int | None = 91, budget: Manifest | None = None, **wishes: Any) -> None:
        self.cluster = MemoryCluster()
        self.world = KubeWorld(self.cluster)
        self.now = NOW
        self.wishes = wishes
        self.cluster.put(budget or budget_manifest(usable=usable))
        self.cluster.put(service_manifest(**wishes))

    # ---- what happens

    def step(self) -> Decision:
        """One pass of the operator."""
        observed = self.look()
        decision = decide(observed)
        held = NONE
        if observed.budget is not None:
            ledger = ledger_of(observed.budget, now=self.now)
            if decision.claim is not None:
                ledger = ledger.with_claim(decision.claim)
                self._write_budget(budget_report.with_ledger(observed.budget, ledger, now=self.now))
            held = ledger.held_by(UID)
        applied = [self.cluster.store_applied(each) for each in decision.apply]
        for kind, name in decision.delete:
            self.cluster.remove(kind, "demo", name)
        status = report(observed.with_children(applied), decision, held=held)
        wire = status.model_dump(by_alias=True, exclude_none=True, mode="json")
        self.cluster.edit("FastAPIService", "demo", "shop", lambda live: {**live, "status": wire})
        return decision

    def settle(self, *, steps: int = 30) -> Decision:
        """Passes of the operator and moves of the world, until neither has anything left to do."""
        for _ in range(steps):
            decision = self.step()
            assert self.world.run()
            if not decision.apply and not decision.delete and decision.requeue_after in {None, 30.0, 10.0}:
                return decision
        raise AssertionError(f"still under way: {self.reason}: {self.message}")

    def edit(self, **wishes: Any) -> None:
        """The service's owner changes its spec."""
        self.wishes |= wishes
        spec = service_manifest(**self.wishes)["spec"]
        self.cluster.edit("FastAPIService", "demo", "shop", lambda live: {**live, "spec": spec})

    def make(self, name: str, *, times: int = 1) -> None:
        """Has the world make a move whose name contains ``name``."""
        for _ in range(times):
            moves = [move for move in self.world.moves() if name in str(move)]
            assert moves, f"nobody could do that: {name}; but {[str(each) for each in self.world.moves()]}"
            moves[0].do()

    # ---- what is seen

    def look(self) -> Observed:
        service = FastAPIService.model_validate(self.cluster.read("FastAPIService", "demo", "shop"))
        found = self.cluster.objects.get(("ConnectionBudget", *service.budget_key))
        mine = [
            each
            for each in self.cluster.objects.values()
            if each["metadata"].get("labels", {}).get(SERVICE_UID) == UID and each["kind"] != "Pod"
        ]
        return Observed(
            service=service,
            budget=ConnectionBudget.model_validate(found) if found else None,
            children={(each["kind"], each["metadata"]["name"]): each for each in mine if each["kind"] != "ReplicaSet"},
            pods=running(self.cluster.of_kind("Pod")),
            makers=makers(each for each in mine if each["kind"] in _MAKERS),
            now=self.now,
        )

    @property
    def status(self) -> Manifest:
        found: Manifest = self.cluster.read("FastAPIService", "demo", "shop")["status"]
        return found

    def condition(self, type_: str = "Ready") -> Manifest:
        return next(each for each in self.status["conditions"] if each["type"] == type_)

    @property
    def ready(self) -> str:
        return str(self.condition()["status"])

    @property
    def reason(self) -> str:
        return str(self.condition()["reason"])

    @property
    def message(self) -> str:
        return str(self.condition()["message"])

    @property
    def claim(self) -> int:
        """What the ledger holds for it."""
        claims = self.cluster.read("ConnectionBudget", *self._budget)["status"].get("claims", [])
        return sum(each["connections"] for each in claims if each["uid"] == UID)

    def child(self, kind: str, name: str) -> Manifest:
        return self.cluster.read(kind, "demo", name)

    def names(self, kind: str) -> list[str]:
        return sorted(each["metadata"]["name"] for each in self.cluster.of_kind(kind))

    def pods(self, part: str = "web") -> list[int]:
        """What each pod of a workload can open."""
        return [pod.connections.count for pod in running(self.cluster.of_kind("Pod")) if pod.part == part]

    def guard(self, part: str = "web") -> str:
        """How many pods the workload's quota allows."""
        return str(self.child("ResourceQuota", f"plimsoll-demo-shop-{part}-00000001")["spec"]["hard"]["pods"])

    @property
    def _budget(self) -> tuple[str, str]:
        return FastAPIService.model_validate(self.cluster.read("FastAPIService", "demo", "shop")).budget_key

    def _write_budget(self, status: Any) -> None:
        wire = status.model_dump(by_alias=True, exclude_none=True, mode="json")
        self.cluster.edit("ConnectionBudget", *self._budget, lambda live: {**live, "status": wire})


def kinds(decision: Decision) -> list[str]:
    """What a decision applies, in order."""
    return [each["kind"] for each in decision.apply]
