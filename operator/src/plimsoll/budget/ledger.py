"""Who holds what: the claims of a budget, and the one rule by which a claim may grow.

Third step of the flow. The claims live in ConnectionBudget.status; a ``Ledger`` is that list with its capacity. The
protocol around it: to grow, the claim is written first and the workload follows; to shrink, the workload goes first,
and the claim follows when no pod of the larger shape exists. A crash anywhere in between leaves a claim too large,
never too small.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from plimsoll.units import NONE, Connections, total


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """What one service may open. It belongs to the object (``uid``), not to its name."""

    namespace: str
    name: str
    uid: str
    connections: Connections
    arithmetic: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """The ledger's answer to a demand.

    Attributes:
        admitted: whether the service may roll out what it asks for.
        hold: what its claim is from now on.
        free: what the others leave to this service, its own claim included.
    """

    admitted: bool
    hold: Connections
    free: Connections


@dataclass(frozen=True, kw_only=True, slots=True)
class Ledger:
    """The claims on one server's connections.

    Attributes:
        usable: what can be claimed in all; ``None`` while no valid reading of the server is at hand: nothing may grow.
        claims: who holds what.
    """

    usable: Connections | None
    claims: tuple[Claim, ...] = ()

    @property
    def claimed(self) -> Connections:
        """The sum of all claims."""
        return total(claim.connections for claim in self.claims)

    @property
    def free(self) -> Connections:
        """What is left to claim; nothing while the server's limits are unknown."""
        return NONE if self.usable is None else self.usable.minus(self.claimed)

    def held_by(self, uid: str) -> Connections:
        """What the service of this uid holds now."""
        return total(claim.connections for claim in self.claims if claim.uid == uid)

    def grant(self, *, uid: str, wanted: Connections, standing: Connections) -> Grant:
        """Decides what a service may hold.

        Args:
            uid: the service.
            wanted: what it could open at worst on the way to its spec, and there.
            standing: what it could open at worst if nothing is applied. Never more than ``wanted``.

        Returns:
            Growth is admitted only into room that nobody else holds. What stands is never taken away, whatever the
            server's limits have become meanwhile, and is counted even where no claim is recorded (a status that was
            lost): it does connect. What is held beyond need is given back.
        """
        held = max(self.held_by(uid), standing)
        others = total(claim.connections for claim in self.claims if claim.uid != uid)
        room = NONE if self.usable is None else self.usable.minus(others)
        admitted = wanted <= max(held, room)
        return Grant(admitted=admitted, hold=wanted if admitted else standing, free=room)

    def with_claim(self, claim: Claim) -> Ledger:
        """This ledger with ``claim`` in the place of what its service held; a claim of nothing is no claim."""
        others = tuple(other for other in self.claims if other.uid != claim.uid)
        kept = (*others, claim) if claim.connections else others
        return replace(self, claims=tuple(sorted(kept, key=lambda each: (each.namespace, each.name, each.uid))))
