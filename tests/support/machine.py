"""The machine behind tests/property: what users and the world may do, as hypothesis' rules over a ``Watch``."""

from __future__ import annotations

from base64 import b64encode
from random import Random
from typing import TYPE_CHECKING

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from support.builders import budget_manifest
from support.kube_base import later
from support.watch import Watch, budget_key, service_key
from support.wishes import COURSES, EDITS_OF_TWO, FIRST, NAMES, SERVERS, Course, manifest

if TYPE_CHECKING:
    from plimsoll.api.meta import Manifest


class Line(RuleBasedStateMachine, Watch):
    """Two servers, three budgets, up to three services."""

    def __init__(self) -> None:
        RuleBasedStateMachine.__init__(self)
        Watch.__init__(self)

    # ---- what happens

    @initialize(one=st.integers(12, 60), two=st.integers(8, 40), has_margin=st.booleans(), first=FIRST, course=COURSES)
    def begin(self, one: int, two: int, has_margin: bool, first: Manifest, course: Course) -> None:
        self.capacity = {"one": one, "two": two}
        self.has_margin = has_margin
        for name, server in SERVERS.items():
            uri = b64encode(f"postgresql://{name}@{server}/app".encode()).decode()
            meta = {"namespace": "demo", "name": f"db-{name}"}
            self.cluster.put({"kind": "Secret", "metadata": meta, "data": {"DATABASE_URL": uri}})
            self._put_budget(name)
        self._create("a", first)
        self._go("a", course)

    @precondition(lambda self: len(self.wishes) < len(NAMES))
    @rule(wishes=FIRST, course=COURSES)
    def create(self, wishes: Manifest, course: Course) -> None:
        name = next(name for name in NAMES if name not in self.wishes)
        self._create(name, wishes)
        self._go(name, course)

    @precondition(lambda self: self.wishes)
    @rule(which=st.integers(0, 2), wishes=EDITS_OF_TWO, course=COURSES)
    def edit(self, which: int, wishes: Manifest, course: Course) -> None:
        name = self._name(which)
        self.wishes[name] = self.wishes[name] | wishes
        spec = manifest(name, self.wishes[name])["spec"]
        self.cluster.edit("FastAPIService", "demo", name, lambda live: {**live, "spec": spec})
        self._go(name, course)

    @precondition(lambda self: self.wishes)
    @rule(which=st.integers(0, 2), course=COURSES)
    def delete(self, which: int, course: Course) -> None:
        name = self._name(which)
        del self.wishes[name]
        self.cluster.remove("FastAPIService", "demo", name)
        self._go(name, course)

    @rule(name=st.sampled_from(NAMES), course=COURSES)
    def go_on(self, name: str, course: Course) -> None:
        self._go(name, course)

    @rule()
    def crash(self) -> None:
        self.crash_operator()

    @rule()
    def come_to_rest(self) -> None:
        self.converge()

    @rule(
        server=st.sampled_from(("one", "two")),
        capacity=st.integers(6, 60),
        probed=st.sets(st.sampled_from(("main", "twin", "other"))),
    )
    def change_capacity(self, server: str, capacity: int, probed: set[str]) -> None:
        """As in real life: by a restart, of which each budget learns at a time of its own."""
        if capacity < self.capacity[server]:
            self.shrank.add(server)
        self.now = later(self.now, 1)
        self.capacity[server], self.started[server] = capacity, self.now
        self.now = later(self.now, 1)
        for name in sorted(probed):
            self.finish(budget_key(name))

    @rule(name=st.sampled_from(tuple(SERVERS)), anew=st.booleans(), read=st.booleans())
    def lose_ledger(self, name: str, anew: bool, read: bool) -> None:
        """A budget is restored without its status, or made again under its name.

        Where another one points at the same server, its server is read before anything else is decided: until then the
        other does not count what is claimed here (test_a_lost_ledger_beside_a_twin, expected to fail).
        """
        self.crash_operator()
        read = read or SERVERS[name] == "one"
        self.lost.add(name)
        if anew:
            self.cluster.remove("ConnectionBudget", "demo", name)
            self._put_budget(name, read=read)
            return
        self.cluster.edit("ConnectionBudget", "demo", name, lambda live: {**live, "status": {"observedGeneration": -1}})
        if read:
            self.finish(budget_key(name))

    def _put_budget(self, name: str, *, read: bool = True) -> None:
        wishes: Manifest = {"secretRef": {"name": f"db-{name}"}, "margin": None if self.has_margin else 0}
        made = budget_manifest(name=name, usable=None, reserve=0, **wishes)
        del made["metadata"]["uid"]
        self.cluster.put(made)
        if read:
            self.finish(budget_key(name))

    def _create(self, name: str, wishes: Manifest) -> None:
        self.wishes[name] = wishes
        made = manifest(name, wishes)
        del made["metadata"]["uid"]
        self.cluster.put(made)

    def _go(self, name: str, course: Course) -> None:
        """The operator looks at the service some times, if need be not to the end, and the world goes on meanwhile."""
        luck, made = Random(course.luck), 0  # noqa: S311 - no secret, a schedule
        for calls in course.calls:
            self.stepper.step(service_key(name), calls)
            self.confirm(service_key(name), self.stepper.done.pop(service_key(name), None))
            for _ in range(course.moves):
                if made == course.drained:
                    note("  drained")
                    self.world.drain()
                made += 1
                moves = [move for move in self.world.moves(asleep=course.asleep) if move.fair or course.bad_luck]
                if moves:
                    move = luck.choice(moves)
                    note(f"  {move}")
                    move.do()

    def _name(self, which: int) -> str:
        names = sorted(self.wishes)
        return names[which % len(names)]

    def teardown(self) -> None:
        self.close()
