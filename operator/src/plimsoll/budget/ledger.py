"""Who holds what: the claims of a budget, and the one rule by which a claim may grow.

Third step of the flow. The claims live in ConnectionBudget.status; a ``Ledger`` is that list with its capacity. The
protocol around it: to grow, the claim is written first and the workload follows; to shrink, the workload goes first,
and the claim follows when no pod of the larger shape exists. A crash anywhere in between leaves a claim too large,
never too small.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from plimsoll.units import NONE, Connections, total

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """What one service may open. It belongs to the object (``uid``), not to its name."""

    namespace: str
    name: str
    uid: str
    connections: Connections
    per_pod: Connections = NONE
    """What the dearest of its pods can open."""

    arithmetic: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Want:
    """What a service asks of one budget.

    Attributes:
        uid: the service.
        connections: what it could open at worst on the way to its spec, and there. Never less than ``standing``.
        standing: what it could open at worst if nothing is applied.
        settled: as much it may ask for again, whatever the room is: what stands, without pods that should be gone by
            now, and with what it holds for a migration of the last good state. ``None`` for ``standing``.
        hold: what it is to hold once it is admitted, these pods included; ``None`` where there are none.
        keep: what it is left with when it is refused, if it holds as much: what stands, and what the last good state
            will need again.
        per_pod: what the dearest of its pods could open.
        beyond: what all of this counts for pods that open more than they declare.
    """

    uid: str
    connections: Connections
    standing: Connections = NONE
    settled: Connections | None = None
    hold: Connections | None = None
    keep: Connections = NONE
    per_pod: Connections = NONE
    beyond: Connections = NONE


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """The ledger's answer to a demand.

    Attributes:
        admitted: whether the service may roll out what it asks for.
        hold: what its claim is from now on.
        free: what the others and the margin leave to this service, its own claim included.
    """

    admitted: bool
    hold: Connections
    free: Connections


@dataclass(frozen=True, kw_only=True, slots=True)
class Ledger:
    """The claims on one server's connections.

    Attributes:
        capacity: what the server gives; ``None`` while no valid reading of it is at hand: nothing may grow.
        margin: what is kept back of it, or ``None`` for the dearest pod of any service.
        claims: who holds what.
        elsewhere: what is claimed of the same server in other budgets.
        pods_elsewhere: uid of a service that claims there → what the dearest of its pods can open there.
    """

    capacity: Connections | None
    margin: Connections | None = None
    claims: tuple[Claim, ...] = ()
    elsewhere: Connections = NONE
    pods_elsewhere: Mapping[str, Connections] = field(default_factory=dict)

    @property
    def claimed(self) -> Connections:
        """The sum of all claims of this budget."""
        return total(claim.connections for claim in self.claims)

    @property
    def kept_back(self) -> Connections:
        """The margin with the claims as they are."""
        return self._margin_with(NONE, uid="")

    @property
    def usable(self) -> Connections | None:
        """What can be claimed in all."""
        return None if self.capacity is None else self.capacity.minus(self.kept_back)

    @property
    def free(self) -> Connections:
        """What is left to claim; nothing while the server's limits are unknown."""
        usable = self.usable
        return NONE if usable is None else usable.minus(self.claimed + self.elsewhere)

    def held_by(self, uid: str) -> Connections:
        """What the service of this uid holds now."""
        return total(claim.connections for claim in self.claims if claim.uid == uid)

    def held_by_others(self, uid: str) -> Connections:
        """What everybody else holds of this server, in whichever budget."""
        return total(claim.connections for claim in self.claims if claim.uid != uid) + self.elsewhere

    def margin_for(self, want: Want) -> Connections:
        """The margin when the service has the pods that it wants: a dear pod widens it."""
        return self._margin_with(want.per_pod, uid=want.uid)

    def room_for(self, want: Want) -> Connections:
        """What margin and others leave to a service; nothing while the server's limits are unknown."""
        if self.capacity is None:
            return NONE
        return self.capacity.minus(self.margin_for(want) + self.held_by_others(want.uid))

    def grant(self, want: Want) -> Grant:
        """Decides what a service may hold.

        Growth is admitted only into room that nobody else holds. What stands is never taken away, whatever the server's
        limits have become meanwhile, and is counted even where no claim is recorded (a status that was lost): it does
        connect. What is held beyond need is given back: a claim alone, with nothing that stands behind it, admits
        nothing, or what is held for an overdue pod would stay when that is gone.
        """
        room = self.room_for(want)
        admitted = want.connections <= max(want.standing if want.settled is None else want.settled, room)
        hold = want.connections if want.hold is None else want.hold
        return Grant(admitted=admitted, hold=hold if admitted else self.kept(want), free=room)

    def kept(self, want: Want) -> Connections:
        """What a service holds on to when it is refused, here or by another of its budgets."""
        return max(want.standing, min(self.held_by(want.uid), want.keep))

    def with_claim(self, claim: Claim) -> Ledger:
        """This ledger with ``claim`` in the place of what its service held; a claim of nothing is no claim."""
        others = tuple(other for other in self.claims if other.uid != claim.uid)
        kept = (*others, claim) if claim.connections else others
        return replace(self, claims=tuple(sorted(kept, key=lambda each: (each.namespace, each.name, each.uid))))

    def _margin_with(self, per_pod: Connections, *, uid: str) -> Connections:
        if self.margin is not None:
            return self.margin
        pods = {claim.uid: claim.per_pod for claim in self.claims} | {uid: per_pod}
        both = pods.keys() | self.pods_elsewhere.keys()  # a pod may connect through several budgets of one server
        return max((pods.get(each, NONE) + self.pods_elsewhere.get(each, NONE) for each in both), default=NONE)
