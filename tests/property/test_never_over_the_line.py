"""Never over the line, whatever happens in whatever order: the promise of the ledger, as a state machine.

Users edit services, controllers and kubelets act as late and as awkwardly as they legally can, the server's capacity
changes, the operator crashes between any two of its calls. The operator is the real one (reconcilers, core, manifests);
only the API server and what surrounds it is a model (support/kube_world.py), which knows nothing of budgets.

At every pod that is made and every claim that is written:

- what the pods that exist could open ≤ the sum of the claims;
- the claims grow only to what the server was last seen to give;
- what the pods could open ≤ what the server gives, as long as that never shrank.

And when the edits end and everything may act, it converges: every service is ready with a claim of exactly its demand,
or says why not, and nothing is left behind of those that are gone.

The controls at the end break one rule of the protocol each, and the same machine must find out. Longer runs:
PLIMSOLL_EXAMPLES=5000 pytest tests/property.
"""

from __future__ import annotations

import os
from base64 import b64encode
from contextlib import ExitStack
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, NoReturn
from unittest.mock import patch

import pytest
import structlog
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from plimsoll import grants, steps
from plimsoll.api.connectionbudget import ConnectionBudget
from plimsoll.api.fastapiservice import FastAPIService
from plimsoll.budget.capacity import ServerFacts
from plimsoll.budget.demand import demand
from plimsoll.conditions import Reason
from plimsoll.observed import PodView
from plimsoll.render import guard
from plimsoll.render.names import metadata
from plimsoll_operator import services
from plimsoll_operator.book import Book, Page
from plimsoll_operator.queue import Key, Kind
from support.builders import NOW, budget_manifest, group, service_manifest
from support.kube_world import SOURCES, KubeWorld
from support.memory_cluster import MemoryCluster
from support.stepper import Stepper
from support.virtual_loop import VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from plimsoll.api.meta import Manifest
    from plimsoll.budget.ledger import Ledger

NAMES = ("a", "b", "c")
BUDGET = Key(Kind.BUDGET, "demo", "main")
FAR = 30.0
"""A refused service is looked at again after so many seconds; it must not have to wait for that when room is freed."""

HELD_BACK = 3 + 1  # superuser_reserved_connections and the operator's own

GROUPS = st.lists(
    st.builds(
        group,
        st.sampled_from(("x", "y")),
        replicas=st.integers(0, 2),
        processes=st.integers(1, 2),
        connections=st.integers(1, 3),
    ),
    max_size=2,
    unique_by=lambda each: each["name"],
).map(tuple)

WISHES: dict[str, st.SearchStrategy[Any]] = {
    "replicas": st.integers(0, 4),
    "workers": st.integers(1, 2),
    "pool": st.integers(1, 6),
    "overflow": st.integers(0, 2),
    "jobs": GROUPS,
    "image": st.sampled_from(("app:1", "app:2", "app:3")),
    "migration": st.sampled_from((None, None, 1, 3)),
    "rollout": st.sampled_from(((1, 0), (1, 0), (0, 1), (2, 1))),
}
EDITS = st.one_of([st.fixed_dictionaries({name: values}) for name, values in WISHES.items()])
EDITS_OF_TWO = st.builds(lambda one, other: one | other, EDITS, EDITS)


@dataclass(frozen=True)
class Course:
    """How things go on for a while."""

    calls: list[int]
    """After how many calls to the API server the operator's looks at the service are interrupted."""

    moves: int
    """How many of the moves that are possible happen after each."""

    luck: int
    """Which: the seed of the choice."""

    asleep: str
    """Who does nothing meanwhile."""

    bad_luck: bool
    """Whether pods are evicted and fail."""

    drained: int
    """After how many moves all pods are evicted, and replaced before they are gone."""


COURSES = st.builds(
    Course,
    calls=st.lists(st.sampled_from((99, 99, *range(9, 20))), min_size=1, max_size=4),
    moves=st.integers(4, 16),
    luck=st.integers(0, 2**16),
    asleep=st.sampled_from(("nobody", "nobody", *SOURCES)),
    bad_luck=st.booleans(),
    drained=st.integers(0, 24),
)


class OverTheLineError(AssertionError):
    """The promise is broken."""


class NotConvergedError(AssertionError):
    """Everything may act, nothing is edited, and still it does not come to rest where it should."""


class Line(RuleBasedStateMachine):
    """One server, one budget, up to three services."""

    enforces_quotas = True

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        self.cluster = MemoryCluster()
        self.world = KubeWorld(self.cluster, enforces_quotas=self.enforces_quotas)
        self.stepper = Stepper(self.cluster, self.loop, clock=lambda: NOW)
        self.wishes: dict[str, Manifest] = {}
        self.pending: set[Key] = set()
        self.capacity = 0
        self.shrank = False
        self.broken = False
        self.world.on_pod = lambda pod: self._check(f"pod {pod['metadata']['name']}")
        self.cluster.on_change = self._changed
        self.patches = ExitStack()
        self.patches.enter_context(patch("plimsoll_operator.budgets.probe", self._probe))

    # ---- what happens

    @initialize(capacity=st.integers(12, 48), first=st.fixed_dictionaries(WISHES), course=COURSES)
    def server(self, capacity: int, first: Manifest, course: Course) -> None:
        self.capacity = capacity
        self.cluster.put({"kind": "Secret", "metadata": {"namespace": "demo", "name": "shop-db"}} | _uri())
        self.cluster.put(budget_manifest(usable=None, reserve=0))
        self.stepper.finish(BUDGET)
        self._create("a", first)
        self._go("a", course)

    @precondition(lambda self: len(self.wishes) < len(NAMES))
    @rule(wishes=st.fixed_dictionaries(WISHES), course=COURSES)
    def create(self, wishes: Manifest, course: Course) -> None:
        name = next(name for name in NAMES if name not in self.wishes)
        self._create(name, wishes)
        self._go(name, course)

    @precondition(lambda self: self.wishes)
    @rule(which=st.integers(0, 2), wishes=EDITS_OF_TWO, course=COURSES)
    def edit(self, which: int, wishes: Manifest, course: Course) -> None:
        name = self._name(which)
        self.wishes[name] = self.wishes[name] | wishes
        spec = _manifest(name, self.wishes[name])["spec"]
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
        self.stepper.crash()

    @rule()
    def come_to_rest(self) -> None:
        self._converge()

    @rule(capacity=st.integers(6, 48), probed=st.booleans())
    def change_capacity(self, capacity: int, probed: bool) -> None:
        self.shrank = self.shrank or capacity < self.capacity
        self.capacity = capacity
        if probed:
            self.stepper.finish(BUDGET)

    def _create(self, name: str, wishes: Manifest) -> None:
        self.wishes[name] = wishes
        manifest = _manifest(name, wishes)
        del manifest["metadata"]["uid"]
        self.cluster.put(manifest)

    def _go(self, name: str, course: Course) -> None:
        """The operator looks at the service some times, if need be not to the end, and the world goes on meanwhile."""
        luck, made = Random(course.luck), 0  # noqa: S311 - no secret, a schedule
        for calls in course.calls:
            self.stepper.step(_key(name), calls)
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

    # ---- what must hold

    def _check(self, when: str) -> None:
        claims = self._claims()
        opened, claimed = self.world.open_connections(), sum(claims.values())
        if opened > claimed:
            self._fail(f"{when}: pods could open {opened}, claimed are {claims}")
        if opened > self.capacity and not self.shrank:
            self._fail(f"{when}: pods could open {opened}, the server gives {self.capacity}")

    def _fail(self, message: str) -> None:
        self.broken = True
        raise OverTheLineError(message)

    def _changed(self, before: Manifest | None, after: Manifest | None) -> None:
        each = after or before or {}
        kind, meta = each["kind"], each["metadata"]
        if kind == "ConnectionBudget":
            old, new = (sum(_claims(side).values()) for side in (before, after))
            usable = each["status"].get("usable", 0)
            if new > old and new > usable:
                self._fail(f"claims grew from {old} to {new}, and the server gives {usable}")
            self._check("claims written")
        elif kind == "FastAPIService":
            if before is None or after is None or before["spec"] != after["spec"]:
                self.pending.add(_key(meta["name"]))
        elif kind in {"Deployment", "Job", "ResourceQuota", "Service"}:  # as handlers.py wakes an owner
            self.pending.add(_key(meta["labels"]["plimsoll.dev/service"]))

    def _claims(self) -> dict[str, int]:
        return _claims(self.cluster.objects.get(("ConnectionBudget", "demo", "main")))

    def _converge(self) -> None:
        """Everything acts, woken only by what wakes it in a cluster."""
        self.stepper.crash()  # a start looks at everything once
        self.stepper.finish(BUDGET)
        soon = {_key(name) for name in NAMES}
        for _ in range(60):
            keys = soon | self.pending | self.stepper.woken
            if not keys and not any(move.fair for move in self.world.moves()):
                break
            soon = set()
            self.pending.clear()
            self.stepper.woken.clear()
            for key in sorted(keys, key=lambda each: each.name):
                done = self.stepper.finish(key)
                if done is None or (done.requeue_after is not None and done.requeue_after < FAR):
                    soon.add(key)
            if not self.world.run():
                raise NotConvergedError("the controllers go round in circles")
        else:
            raise NotConvergedError(f"still under way: {sorted(key.name for key in soon)}, {self._claims()}")
        for name in self.wishes:
            self._check_arrived(name)
        kept = {(each["metadata"]["labels"]["plimsoll.dev/service"]) for each in self.cluster.of_kind("PriorityClass")}
        if left := (kept | set(self._claims())) - set(self.wishes):
            raise NotConvergedError(f"left behind of services that are gone: {left}")

    def _check_arrived(self, name: str) -> None:
        manifest = self.cluster.read("FastAPIService", "demo", name)
        service = FastAPIService.model_validate(manifest)
        wanted, claims = demand(service, service.budget_key), self._claims()
        ready = _condition(manifest, "Ready")
        said = f"{name} ({ready.get('reason')}: {ready.get('message')}), claims {claims}"
        if ready.get("status") == "True":
            if claims.get(name, 0) != wanted.connections.count:
                raise NotConvergedError(f"claims more or less than it wants, {wanted}: {said}")
            for workload in wanted.workloads:
                part = workload.name.replace(" ", "-")
                costs = [_cost(pod) for pod in self.cluster.of_kind("Pod") if _is_of(pod, name, part)]
                if costs != [workload.cost.connections.count] * workload.replicas:
                    raise NotConvergedError(f"its pods of {part} are {costs}, and it wants {workload}: {said}")
        elif ready.get("reason") == Reason.OVER_BUDGET:
            room = self._usable() - sum(claims.values()) + claims.get(name, 0)
            beside = claims.get(name, 0) + wanted.migration.count if "not beside what runs" in said else 0
            if max(wanted.connections.count, beside) <= room:
                raise NotConvergedError(f"refused though it fits: {said}")
        elif ready.get("reason") != Reason.MIGRATION_FAILED:
            raise NotConvergedError(f"neither ready nor refused: {said}")

    def _usable(self) -> int:
        budget = ConnectionBudget.model_validate(self.cluster.read("ConnectionBudget", "demo", "main"))
        return budget.status.usable or 0

    async def _probe(self, uri: str, *, connect_timeout_seconds: int) -> ServerFacts:
        return ServerFacts(
            version="17",
            max_connections=self.capacity + HELD_BACK,
            superuser_reserved=3,
            reserved=0,
            role_limit=None,
            database_limit=None,
        )

    def teardown(self) -> None:
        try:
            if self.capacity and not self.broken:
                self._converge()
        finally:
            self.stepper.crash()
            self.patches.close()
            self.loop.close()


def _key(name: str) -> Key:
    return Key(Kind.SERVICE, "demo", name)


def _uri() -> Manifest:
    return {"data": {"DATABASE_URL": b64encode(b"postgresql://owner@db/app").decode()}}


def _manifest(name: str, wishes: Manifest) -> Manifest:
    rest = dict(wishes)
    surge, unavailable = rest.pop("rollout")
    return service_manifest(name, surge=surge, unavailable=unavailable, **rest)


def _claims(budget: Manifest | None) -> dict[str, int]:
    sums: dict[str, int] = {}
    for claim in (budget or {}).get("status", {}).get("claims", []):
        sums[claim["name"]] = sums.get(claim["name"], 0) + claim["connections"]
    return sums


def _condition(manifest: Manifest, type_: str) -> Manifest:
    found = manifest.get("status", {}).get("conditions", [])
    return next((each for each in found if each["type"] == type_), {})


def _cost(pod: Manifest) -> int:
    return sum(view.connections.count for view in PodView.of(pod))


def _is_of(pod: Manifest, name: str, part: str) -> bool:
    labels = pod["metadata"]["labels"]
    return bool(
        labels["plimsoll.dev/service"] == name
        and labels["app.kubernetes.io/component"] == part
        and pod["status"]["phase"] != "Failed"
    )


@pytest.fixture(autouse=True)
def _quiet_logs() -> Iterator[None]:
    before = structlog.get_config()
    structlog.configure(processors=[_drop])
    yield
    structlog.configure(**before)


def _drop(*_: object) -> NoReturn:
    raise structlog.DropEvent


EXPLORES = "PLIMSOLL_EXAMPLES" in os.environ
CHECKS = settings(
    max_examples=int(os.environ.get("PLIMSOLL_EXAMPLES", "100")),
    stateful_step_count=12,
    deadline=None,
    derandomize=not EXPLORES,  # the fast loop is the same for everyone; long runs explore
    database=None,
    suppress_health_check=list(HealthCheck),
)


def test_no_schedule_of_edits_controllers_and_crashes_gets_over_the_line() -> None:
    run_state_machine_as_test(Line, settings=CHECKS)


# ---- controls: what the machine must find


class WithoutQuotas(Line):
    enforces_quotas = False


def _no_quotas() -> ExitStack:
    return ExitStack()


def _claim_after_the_workload() -> ExitStack:
    """The ledger is written when the children have been applied, and not before."""
    write, merge = Book.write_ledger, MemoryCluster.merge_status
    late: dict[int, tuple[Book, Page, Ledger]] = {}

    async def remember(book: Book, page: Page, ledger: Ledger) -> None:
        if ledger.claimed.count > (page.budget.status.claimed or 0):
            late[id(book.cluster)] = book, page, ledger
        else:
            await write(book, page, ledger)

    async def catch_up(cluster: MemoryCluster, *args: Any) -> Manifest:
        if waiting := late.pop(id(cluster), None):
            await write(*waiting)
        return await merge(cluster, *args)

    return _patched((Book, "write_ledger", remember), (MemoryCluster, "merge_status", catch_up))


def _only_the_end() -> ExitStack:
    """A claim is the demand of the spec, or what the pods could open that exist, whichever is more."""
    return _patched(
        (grants, "on_the_way", lambda _, wanted: wanted.connections),
        (grants, "all_standing", lambda observed: observed.live()),
    )


def _patched(*changes: tuple[Any, str, Any]) -> ExitStack:
    stack = ExitStack()
    for target, name, change in changes:
        stack.enter_context(patch.object(target, name, change))
    return stack


def _owned_guard(service: FastAPIService, part: str, *, pods: int) -> Manifest:
    """A quota that the garbage collector may take away first."""
    manifest = _real_quota(service, part, pods=pods)
    owned = metadata(service, name=manifest["metadata"]["name"], part=part)
    return {**manifest, "metadata": owned}


_real_quota = guard.quota

CONTROLS: dict[str, tuple[type[Line], Callable[[], ExitStack]]] = {
    "the API server enforces no quota": (WithoutQuotas, _no_quotas),
    "the guard is not waited for": (Line, lambda: _patched((steps, "guard_in_force", lambda *_: True))),
    "the claim is written after the workload": (Line, _claim_after_the_workload),
    "only the end counts, not the way to it": (Line, _only_the_end),
    "only pods that exist count, not what makes them": (Line, lambda: _patched((services, "makers", lambda _: ()))),
    "guards have an owner": (Line, lambda: _patched((guard, "quota", _owned_guard))),
}


@pytest.mark.parametrize("broken", CONTROLS)
def test_the_machine_notices_when(broken: str) -> None:
    machine, mutation = CONTROLS[broken]
    search = settings(CHECKS, max_examples=500, derandomize=True, phases=[Phase.generate])
    with mutation(), pytest.raises(Exception, match=r"pods could open|claims grew") as caught:
        run_state_machine_as_test(machine, settings=search)
    assert _is_over_the_line(caught.value)


def _is_over_the_line(error: BaseException | None) -> bool:
    """Whether this is what was looked for, or happened while cleaning up after it."""
    return error is not None and (isinstance(error, OverTheLineError) or _is_over_the_line(error.__context__))
