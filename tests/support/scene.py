"""One service among its children, with the core alone: ``step`` looks, decides, carries out and reports, as the shell.

The world around (controllers, kubelets, quota admission) is the model of ``kube_world``; nothing happens in it unless a
test says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from plimsoll import budget_report
from plimsoll.accounts import ledgers_of
from plimsoll.api.connectionbudget import ConnectionBudget
from plimsoll.api.fastapiservice import FastAPIService
from plimsoll.budget.demand import Overlap
from plimsoll.decide import Decision, decide
from plimsoll.deployments import templates
from plimsoll.last_words import last_words
from plimsoll.observed import Observed, makers, running
from plimsoll.render.names import SERVICE_UID
from plimsoll.report import report
from support.builders import NOW, budget_manifest, service_manifest, uid
from support.kube_world import KubeWorld
from support.memory_cluster import MemoryCluster

if TYPE_CHECKING:
    from plimsoll.api.meta import BudgetKey, Manifest
    from plimsoll.configuration import Reading

UID = uid(1)
_MAKERS = {"Deployment", "ReplicaSet", "Job"}


class Scene:
    """The service ``shop``, its budget ``main`` and what becomes of both."""

    def __init__(
        self,
        *,
        usable: int | None = 91,
        budget: Manifest | None = None,
        overlap: Overlap = Overlap.GUARDED,
        **wishes: Any,
    ) -> None:
        self.cluster = MemoryCluster()
        self.world = KubeWorld(self.cluster, clock=lambda: self.now)
        self.now = NOW
        self.overlap = overlap
        self.labels: dict[str, str] = {}
        self.readings: tuple[Reading, ...] = ()
        self.wishes = wishes
        self.cluster.put(budget or budget_manifest(usable=usable))
        self.cluster.put(service_manifest(**wishes))

    # ---- what happens

    def step(self) -> Decision:
        """One pass of the operator."""
        observed = self.look()
        decision = decide(observed)
        held = {}
        for budget in observed.budgets:
            ledger = ledgers_of(observed.budgets, now=self.now)[budget.key]
            if claim := decision.claims.get(budget.key):
                ledger = ledger.with_claim(claim)
                written = budget_report.with_ledger(budget, ledger, others=observed.budgets, now=self.now)
                self._write_budget(budget.key, written)
            if budget.key in observed.service.budget_keys:
                held[budget.key] = ledger.held_by(UID)
        applied = [self.cluster.store_applied(each) for each in decision.step.apply]
        applied += [self.cluster.store_overwritten(each) for each in decision.step.overwrite]
        for kind, name in decision.step.delete:
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
            if (
                not decision.step.apply
                and not decision.step.delete
                and decision.requeue_after in {None, 10.0, 30.0, 60.0}
            ):
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
        mine = [
            each
            for each in self.cluster.objects.values()
            if each["metadata"].get("labels", {}).get(SERVICE_UID) == UID and each["kind"] != "Pod"
        ]
        return Observed(
            service=service,
            budgets=tuple(map(ConnectionBudget.model_validate, self.cluster.of_kind("ConnectionBudget"))),
            namespace_labels=self.labels,
            overlap=self.overlap,
            children={(each["kind"], each["metadata"]["name"]): each for each in mine if each["kind"] != "ReplicaSet"},
            pods=running(self.cluster.of_kind("Pod")),
            makers=makers(each for each in mine if each["kind"] in _MAKERS),
            templates=templates(mine),
            last_words=last_words(self.cluster.of_kind("Pod")),
            readings=self.readings,
            account="system:serviceaccount:plimsoll-system:plimsoll-operator",
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
        """What the ledger of its own database holds for it."""
        return self.claim_on(*self._budget)

    def claim_on(self, namespace: str, name: str) -> int:
        """What the ledger of a budget holds for it."""
        claims = self.cluster.read("ConnectionBudget", namespace, name)["status"].get("claims", [])
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
    def _budget(self) -> BudgetKey:
        return FastAPIService.model_validate(self.cluster.read("FastAPIService", "demo", "shop")).budget_key

    def _write_budget(self, key: BudgetKey, status: Any) -> None:
        wire = status.model_dump(by_alias=True, exclude_none=True, mode="json")
        self.cluster.edit("ConnectionBudget", *key, lambda live: {**live, "status": wire})


def kinds(decision: Decision) -> list[str]:
    """What a decision applies, in order."""
    return [each["kind"] for each in decision.step.apply]
