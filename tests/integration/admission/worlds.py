"""Services by the thousand, and budgets for them, drawn from a seed: small numbers mostly, every edge sometimes.

A budget is given a capacity with which about half of the services fit; then services that leave little room in theirs
are given pods that fill it. So many a decision hangs on a single connection.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Final, TypeVar

from integration.admission.expected import Case, Known, want_of
from integration.admission.stage import NAMESPACES, WITH_BUDGETS, budget, service
from plimsoll.api.connectionbudget import ConnectionBudget
from plimsoll.units import Connections

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from random import Random

    from plimsoll.api.meta import BudgetKey, Manifest

T = TypeVar("T")

BUDGETS: Final = 4
"""In each namespace that has some."""

_PLENTY: Final = Connections(2**40)

_CPUS: Final = (
    *("1", "2", "500m", "1500m", "2000m", "3999m", "4.", ".5", "2.75", "+3", "-1", "0", "63999m", "65", "1k", "3Ki"),
    *("2000000u", "3000000000n", "1E", "1e3", "2E1", "5e0", "8e0", "", "two", "1 ", "Ki", "1.5.1"),
    *(0, 1, 3, 200, -2, 0.5, 1.0, 2.9, 64.5, 1e9, True, None),
)
_ALLOWED: Final = (
    {"from": "Same"},
    {"from": "All"},
    {"from": "All"},
    {"from": "Selector", "selector": {"matchLabels": {"team": "b"}}},
    {"from": "Selector", "selector": {"matchLabels": {"team": "b", "tier": "tin"}}},
    {"from": "Selector", "selector": {"matchLabels": {"kubernetes.io/metadata.name": "demo"}}},
)


@dataclass(frozen=True, slots=True)
class Draw:
    """A source of wishes."""

    random: Random

    def often(self, usual: T, *others: T) -> T:
        """The usual one three times out of four."""
        return usual if self.random.random() < 0.75 else self.random.choice(others)

    def maybe(self, chance: float) -> bool:
        return self.random.random() < chance

    def upto(self, most: int, *, least: int = 0) -> int:
        """Small mostly, and now and then the very most."""
        roll = self.random.random()
        if roll < 0.02:
            return most
        return self.random.randint(least, min(most, 200 if roll < 0.1 else max(least, 6)))

    def ref(self, namespace: str) -> Manifest:
        """A budgetRef: its own namespace's by leaving it out or by naming it, or another's."""
        named = self.random.choice(WITH_BUDGETS)
        if namespace in WITH_BUDGETS and self.maybe(0.7):
            named = namespace
        written = named != namespace or self.maybe(0.2)
        return {"name": f"b{self.random.randrange(BUDGETS)}"} | ({"namespace": named} if written else {})

    def autoscaling(self) -> Manifest:
        most = self.upto(1000, least=1)
        return {"maxReplicas": most, "minReplicas": self.random.randint(1, most)}

    def web(self) -> Manifest:
        web: Manifest = {"replicas": self.upto(1000)}
        if self.maybe(0.2):
            web["autoscaling"] = self.autoscaling()
        if self.maybe(0.5):
            web["workers"] = self.upto(64, least=1)
        if self.maybe(0.2):
            web["restartingWorkers"] = self.upto(64)
        if self.maybe(0.6):
            web["resources"] = {"limits": {"cpu": self.random.choice(_CPUS)}, "requests": {"cpu": "9"}}
        return web

    def group(self, number: int) -> Manifest:
        group: Manifest = {"name": f"g{number}", "command": ["work"], "replicas": self.upto(1000)}
        if self.maybe(0.2):
            group["autoscaling"] = self.autoscaling()
        if self.maybe(0.7):
            group["processes"] = self.upto(64, least=1)
        if self.maybe(0.7):
            group["connectionsPerProcess"] = self.upto(1000, least=1)
        return group

    def additional(self, number: int, ref: Manifest) -> Manifest:
        return {
            "name": f"d{number}" + "x" * self.often(0, 18),
            "budgetRef": ref,
            "secretRef": {"name": "s"},
            "poolSize": self.upto(10000, least=1),
            "maxOverflow": self.often(0, 0, 3, 10000),
            "jobConnectionsPerProcess": self.often(0, 1, 2, 1000),
        }

    def pool(self) -> Manifest:
        size = self.upto(10000, least=1)
        pool: Manifest = {"size": size} if self.maybe(0.9) else {}
        if self.maybe(0.3):
            pool["minSize"] = self.random.randint(1, pool.get("size", 5))
        if self.maybe(0.4):
            pool["maxOverflow"] = self.upto(10000)
        return pool

    def spec(self, namespace: str) -> Manifest:
        own, many = self.ref(namespace), self.maybe(0.03)
        database: Manifest = {"budgetRef": own, "secretRef": {"name": "s"}, "pool": self.pool()}
        if self.maybe(0.2):
            database["extraPerProcess"] = self.upto(1000)
        surge = self.often(1, 0, 2, 1000)
        spec: Manifest = {
            "image": "shop:1",
            "web": self.web(),
            "database": database,
            "rollout": {"maxSurge": surge, "maxUnavailable": 0 if surge else 1},
        }
        if many or self.maybe(0.4):
            groups = 16 if many else self.often(1, 2, 3)
            spec["jobs"] = [self.group(number) for number in range(groups)]
        if many or self.maybe(0.4):
            others = 8 if many else self.often(1, 2, 3)
            spec["additionalDatabases"] = [
                self.additional(number, own if many or self.maybe(0.4) else self.ref(namespace))
                for number in range(others)
            ]
        if self.maybe(0.4):
            spec["whenOver"] = "ShrinkPool"
        if self.maybe(0.3):
            spec["migrations"] = {"command": ["up"], "connections": self.upto(100, least=1)}
        return spec

    def service(self) -> Manifest:
        namespace = self.random.choice(list(NAMESPACES))
        made = service(namespace=namespace)
        return made | {"spec": self.spec(namespace)}

    def edited(self, live: Manifest) -> Manifest:
        """The same service with another spec: quite another one, or one part of it from another."""
        old, new = live["spec"], self.spec(live["metadata"]["namespace"])
        if self.maybe(0.8):
            part = self.random.choice(["web", "jobs", "additionalDatabases", "database", "whenOver", "migrations"])
            new = {key: value for key, value in (old | {part: new.get(part)}).items() if value is not None}
            if part == "database" and self.maybe(0.8):  # of the same budget
                new["database"] = new["database"] | {"budgetRef": old["database"]["budgetRef"]}
        return live | {"spec": new}


def cases(draw: Draw, live: Sequence[Manifest], *, creates: int, updates: int) -> list[Case]:
    """So many of each; updates are of ``live`` services."""
    made = [Case.of(draw.service()) for _ in range(creates)]
    for _ in range(updates):
        old = draw.random.choice(live)
        made.append(Case.of(draw.edited(old), old))
    return made


def budgets(draw: Draw, asked: Sequence[Case]) -> list[Manifest]:
    """A budget for every name that a service may refer to, each with its status.

    There are few, since each is evaluated for each request; so their kinds are dealt out, not drawn.
    """
    made = []
    for index, (namespace, number) in enumerate(product(WITH_BUDGETS, range(BUDGETS))):
        spec: Manifest = {"allowedNamespaces": _ALLOWED[index % len(_ALLOWED)]}
        if number == 1:
            spec["margin"] = draw.often(3, 0, 50)
        one = budget(f"b{number}", namespace=namespace, **spec)
        key = ConnectionBudget.model_validate(one).key
        asking = [case for case in asked if key in case.service.budget_keys]
        # The margin is the dearest pod of the others, or of who asks: of the first budgets mostly the latter.
        one["status"] = _status(draw, asking, key, dearest=3 if number < 2 else 200)
        if number == 2:
            one["status"]["claimedElsewhere"] = draw.upto(90, least=1)
        if index != 2 * BUDGETS - 1:  # the last was never read
            one["status"]["capacity"] = _about_enough(draw, one, asking)
        made.append(one)
    return made


def _status(draw: Draw, asking: Sequence[Case], key: BudgetKey, *, dearest: int) -> Manifest:
    """Claims of others, and some of services that are going to ask for about as much as they hold."""

    def claim(uid: str, connections: int) -> Manifest:
        per_pod = draw.random.randint(0, dearest)
        return {"namespace": "demo", "name": uid, "uid": uid, "connections": connections, "perPod": per_pod}

    others = [claim(f"uid-{number}", draw.upto(200)) for number in range(draw.upto(9))]
    updates = [case for case in asking if case.old]
    held: dict[str, int] = {}
    for case in draw.random.sample(updates, len(updates) // 2):
        about = want_of(case.least, key).connections.count + draw.random.choice([-1, 0, 1])
        uid = case.service.metadata.uid
        held[uid] = max(held.get(uid, 0), min(15000, about))
    return {"claims": [*others, *(claim(uid, connections) for uid, connections in held.items())]}


def _about_enough(draw: Draw, budget: Manifest, asking: Sequence[Case]) -> int:
    """The capacity with which the middle one of those who ask just fits, or one connection to this side or that."""
    model = ConnectionBudget.model_validate(budget)
    ledger = replace(Known.of(model).ledger, capacity=_PLENTY)
    wants = (want_of(case.least, model.key) for case in asking)
    enough = sorted(want.connections + _PLENTY.minus(ledger.room_for(want)) for want in wants)
    return min(262143, max(0, enough[len(enough) // 2].count + draw.random.choice([-1, 0, 1])))


def tuned(draw: Draw, case: Case, known: Mapping[BudgetKey, Known]) -> Case:
    """The case with a group of cheap pods that fills what room there is left, or one pod more or fewer."""
    key, spec = case.service.budget_key, case.manifest["spec"]
    if key not in known or known[key].ledger.capacity is None or spec.get("additionalDatabases"):
        return case
    want, surge = want_of(case.least, key), spec["rollout"]["maxSurge"]
    room = known[key].ledger.room_for(want).minus(want.connections).count
    replicas = room - surge + draw.random.choice([-1, 0, 0, 1])
    if not 1 <= replicas <= 1000:
        return case
    fill = {"name": "fill", "command": ["x"], "replicas": replicas, "processes": 1, "connectionsPerProcess": 1}
    manifest = case.manifest | {"spec": spec | {"jobs": [*spec.get("jobs", [])[:15], fill]}}
    return Case.of(manifest, case.before)
