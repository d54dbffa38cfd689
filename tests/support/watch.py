"""What the machines of tests/property watch: the real operator on a model of a cluster, and what must hold always.

Only the API server and what surrounds it is a model (``kube_world``), which knows nothing of budgets. What must hold at
rest is in ``arrival``; what users wish for, in ``wishes``.

Three things the promise leaves open, so that the machine does not ask for more than is said:

- *Forgotten pods.* A quota forgets a pod one grace period after its deletionTimestamp. A pod that the operator has seen
  to be overdue, and lowered its guard for, is inside the claim. One that it has not (it was down for half a minute, or
  could not act on what it saw) is above the claim, by what it can open; the margin of the budget covers one such pod.
- *Lost ledgers.* From the moment a budget's status is lost until the operator has read its server again, there are no
  claims to compare with. Nothing may grow meanwhile; the server's own capacity holds throughout. A status is not lost
  in the milliseconds between the write of a claim and the write of what it is for.
- *A capacity that shrank* is not held against what was granted before.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING
from unittest.mock import patch

from hypothesis import note
from plimsoll.budget.capacity import ServerFacts
from plimsoll.budget.demand import Overlap
from plimsoll.conditions import WAITS_FOR_ROOM
from plimsoll.decide import decide
from plimsoll.observed import PodView
from plimsoll_operator.queue import Done, Key, Kind
from support.arrival import NotConvergedError, OverTheLineError, check_arrived, claims_by_name
from support.builders import NOW
from support.kube_base import later
from support.kube_world import KubeWorld
from support.memory_cluster import MemoryCluster
from support.stepper import Stepper
from support.virtual_loop import VirtualLoop
from support.wishes import NAMES, SERVERS

if TYPE_CHECKING:
    from plimsoll.api.meta import Manifest
    from plimsoll.decide import Decision
    from plimsoll.observed import Observed

FAR = 30.0
"""A refused service is looked at again after so many seconds; it must not have to wait for that when room is freed."""

HELD_BACK = 3 + 1  # superuser_reserved_connections and the operator's own
_WAKES_ITS_OWNER = {"Deployment", "Job", "ResourceQuota", "Service", "HorizontalPodAutoscaler"}  # as handlers.py does


class Watch:
    """Two servers, three budgets, services, and the operator."""

    enforces_quotas = True
    overlap = Overlap.GUARDED
    must_arrive = True
    """Whether it has to come to rest where it should; a control only asks for the line."""

    def __init__(self) -> None:
        self.loop = VirtualLoop()
        self.cluster = MemoryCluster()
        self.now = NOW
        self.world = KubeWorld(self.cluster, enforces_quotas=self.enforces_quotas, clock=lambda: self.now)
        self.stepper = Stepper(self.cluster, self.loop, clock=lambda: self.now, overlap=self.overlap)
        self.wishes: dict[str, Manifest] = {}
        self.pending: set[Key] = set()
        self.capacity: dict[str, int] = {}
        self.started = dict.fromkeys(SERVERS.values(), NOW)
        self.has_margin = True
        self.shrank: set[str] = set()
        self.lost: set[str] = set()
        self.looked: dict[Key, frozenset[str]] = {}
        """The overdue pods that the look under way has seen, and acts on."""
        self.sighted: dict[Key, list[PodView]] = {}
        """All the overdue pods that it has seen; some may be gone by the time that it writes a claim."""
        self.seen: set[str] = set()
        """Overdue pods that a look has acted on."""
        self.covered: set[str] = set()
        """Those for which the guard that it wrote is in force."""
        self.broken = False
        self.world.on_pod = lambda pod: self._check(f"pod {pod['metadata']['name']}")
        self.world.may_forget = self._may_forget
        self.cluster.on_change = self._changed
        self.patches = ExitStack()
        self.patches.enter_context(patch("plimsoll_operator.budgets.probe", self._probe))
        self.patches.enter_context(patch("plimsoll_operator.services.decide", self._decide))

    # ---- the operator

    def finish(self, key: Key) -> Done | None:
        done = self.stepper.finish(key)
        self.confirm(key, done)
        return done

    def crash_operator(self) -> None:
        self.stepper.crash()
        self.looked.clear()
        self.sighted.clear()

    def _decide(self, observed: Observed) -> Decision:
        """The real one; notes for which overdue pods it lowers guards."""
        decision = decide(observed)
        meta = observed.service.metadata
        key = Key(Kind.SERVICE, meta.namespace, meta.name)
        self.sighted[key] = [pod for pod in observed.pods if pod.overdue_from and pod.overdue_from <= observed.now]
        late = {pod.name for pod in self.sighted[key]}
        acts = bool(decision.claims) and not any(each.reason in WAITS_FOR_ROOM for each in decision.findings)
        self.looked[key] = frozenset(late if acts else ())
        return decision

    def confirm(self, key: Key, done: Done | None) -> None:
        if done is not None:
            self.sighted.pop(key, None)
            self.seen |= self.looked.pop(key, frozenset())
            self._cover()

    def _cover(self) -> None:
        """Overdue pods whose guard has been lowered, and is in force so."""
        quotas = {each["metadata"]["name"]: each for each in self.cluster.of_kind("ResourceQuota")}
        for pod in self.cluster.of_kind("Pod"):
            quota = quotas.get(pod["spec"].get("priorityClassName"), {})
            if quota and quota["spec"]["hard"] == quota.get("status", {}).get("hard"):
                self.covered |= {pod["metadata"]["name"]} & self.seen

    async def _probe(self, uri: str, *, connect_timeout_seconds: int) -> ServerFacts:
        server = uri.split("@")[1].split("/", maxsplit=1)[0]
        return ServerFacts(
            version="17",
            max_connections=self.capacity[server] + HELD_BACK,
            superuser_reserved=3,
            reserved=0,
            role_limit=None,
            database_limit=None,
            system_identifier=server,
            started=self.started[server],
        )

    # ---- what must hold

    def _check(self, when: str) -> None:
        for server, capacity in self.capacity.items():
            budgets = [name for name, where in SERVERS.items() if where == server]
            opened = self.world.open_connections(*(f"demo/{name}" for name in budgets))
            claims = {name: claims_by_name(self.cluster, name) for name in budgets}
            beyond = sum(self._beyond(server, forgotten=True).values())
            if not self.lost & set(budgets) and opened > beyond + sum(sum(each.values()) for each in claims.values()):
                self._fail(f"{when}: pods could open {opened} at {server}, claimed are {claims} and {beyond} beyond")
            if opened > capacity and server not in self.shrank:
                self._fail(f"{when}: pods could open {opened}, the server {server} gives {capacity}; {claims}")

    def _beyond(self, server: str, *, forgotten: bool) -> dict[str, int]:
        """What overdue pods could open for which no guard was lowered: of those that a quota forgot, or of all."""
        late = {}
        for pod in self.cluster.of_kind("Pod"):
            ends, name = pod["metadata"].get("deletionTimestamp", self.now), pod["metadata"]["name"]
            if ends < self.now and name not in self.covered and (not forgotten or "forgotten" in pod):
                views = [view for view in PodView.of(pod) if SERVERS[view.budget.name] == server]
                late[name] = sum(view.connections.count for view in views)
        return late

    def _may_forget(self, pod: Manifest) -> bool:
        """Without an operator that acts on it, only as many as the margin covers: one, on each of its servers."""
        if pod["metadata"]["name"] in self.covered:
            return True
        return self.has_margin and not any(self._beyond(server, forgotten=True) for server in self.capacity)

    def _fail(self, message: str) -> None:
        self.broken = True
        raise OverTheLineError(message)

    def _changed(self, before: Manifest | None, after: Manifest | None) -> None:
        each = after or before or {}
        kind, meta = each["kind"], each["metadata"]
        if kind == "ConnectionBudget":
            if after is not None and before is not None:
                self._check_claims(meta["name"], before, after)
        elif kind == "FastAPIService":
            if before is None or after is None or before["spec"] != after["spec"]:
                self.pending.add(service_key(meta["name"]))
        elif kind in _WAKES_ITS_OWNER:
            self.pending.add(service_key(meta["labels"]["plimsoll.dev/service"]))
        if kind == "ResourceQuota":
            self._cover()

    def _check_claims(self, name: str, before: Manifest, after: Manifest) -> None:
        if "server" not in after["status"]:
            return  # lost
        server, rebuilt = SERVERS[name], "server" not in before["status"]
        note(f"  budget {name}: {claims_by_name(self.cluster, name)}")
        self.lost.discard(name)
        old, new = (_claimed(side) for side in (before, after))
        beside = [each for each, where in SERVERS.items() if where == server and each != name]
        elsewhere = sum(sum(claims_by_name(self.cluster, each).values()) for each in beside)
        late = self._beyond(server, forgotten=False)
        for pod in (each for seen in self.sighted.values() for each in seen):
            if SERVERS[pod.budget.name] == server and pod.name not in self.covered:
                late[pod.name] = max(late.get(pod.name, 0), pod.connections.count)
        usable = after["status"].get("usable", 0)
        dearest = max(
            (each["perPod"] for side in (before, after) for each in side["status"].get("claims", [])), default=0
        )
        most = max(old, usable - elsewhere) + dearest * len(late)  # each may be replaced by the dearest
        if new > most and not rebuilt and not self.lost & set(beside):
            self._fail(
                f"claims grew from {old} to {new} beside {elsewhere}, and {name} gives {usable}, late are {late}"
            )
        self._check("claims written")

    # ---- the end

    def converge(self) -> None:
        try:
            self._come_to_rest()
        except NotConvergedError:
            if self.must_arrive:
                raise

    def _come_to_rest(self) -> None:
        """Everything acts, woken only by what wakes it in a cluster, and by the resync from time to time."""
        self.crash_operator()  # a start looks at everything once
        for _ in range(6):
            before = {ref: each for ref, each in self.cluster.objects.items() if ref[0] != "ConnectionBudget"}
            self.now = later(self.now, 120)  # pools may grow, terminating pods are overdue
            for name in SERVERS:
                self.finish(budget_key(name))
            self._settle()
            after = {ref: each for ref, each in self.cluster.objects.items() if ref[0] != "ConnectionBudget"}
            if before == after:
                break
        else:
            raise NotConvergedError("every resync changes something")
        check_arrived(self.cluster, wishes=self.wishes, capacity=self.capacity, shrank=self.shrank)

    def _settle(self) -> None:
        soon = {service_key(name) for name in NAMES}
        for _ in range(80):
            before = dict(self.cluster.objects)
            keys = soon | self.pending | self.stepper.woken
            soon = set()
            self.pending.clear()
            self.stepper.woken.clear()
            for key in sorted(keys, key=lambda each: each.name):
                done = self.finish(key)
                if done is None or (done.requeue_after is not None and done.requeue_after < FAR):
                    soon.add(key)
            if not self.world.run():
                raise NotConvergedError("the controllers go round in circles")
            if not self.pending | self.stepper.woken and before == self.cluster.objects:
                return
        raise NotConvergedError(f"still under way: {sorted(key.name for key in soon)}, {self.stepper.failed}")

    def close(self) -> None:
        """The end of it all, whatever has become of it."""
        try:
            if self.capacity and not self.broken and self.must_arrive:
                self.converge()
        finally:
            self.stepper.crash()
            self.patches.close()
            self.loop.close()


def service_key(name: str) -> Key:
    return Key(Kind.SERVICE, "demo", name)


def budget_key(name: str) -> Key:
    return Key(Kind.BUDGET, "demo", name)


def _claimed(budget: Manifest) -> int:
    return sum(each["connections"] for each in budget["status"].get("claims", []))
