"""What a PostgreSQL server can give to services: ``usable``.

First step of the flow: the probe reads ``ServerFacts`` from the live server, the budget's spec says what else to hold
back, and ``capacity`` makes one number of both.

Source of the formula: PostgreSQL lets an ordinary role connect while more than ``superuser_reserved_connections`` +
``reserved_connections`` slots of ``max_connections`` are free; CONNECTION LIMITs of a role or database cap it further
(manual, §§ 19.3.1, CREATE ROLE, CREATE DATABASE).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from plimsoll.units import Connections

if TYPE_CHECKING:
    from plimsoll.api.connectionbudget import ConnectionBudgetSpec

OPERATOR = Connections(1)
"""The operator's own connection, with which it asks the server for its limits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerFacts:
    """What one reading of the server said. Limits of −1 in PostgreSQL (no limit) are ``None`` here."""

    version: str
    max_connections: int
    superuser_reserved: int
    reserved: int
    role_limit: int | None
    database_limit: int | None
    live: int
    """Client connections at that moment, the probe's own left out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Capacity:
    """The connections that services may claim in all.

    Attributes:
        usable: the number.
        ceiling: what binds before the reserve is taken off.
        binding: which of the server's limits that is, in words.
        reserve: what the budget's spec holds back from services.
    """

    usable: Connections
    ceiling: Connections
    binding: str
    reserve: Connections

    def __str__(self) -> str:
        return f"{self.usable} usable = {self.binding} = {self.ceiling}, − {self.reserve} reserve − {OPERATOR} operator"


def capacity(*, facts: ServerFacts, spec: ConnectionBudgetSpec) -> Capacity:
    """The smallest of the server's limits, less what is held back.

    A server whose reservations exceed its slots gives nothing, rather than a negative number.
    """
    general = facts.max_connections - facts.superuser_reserved - facts.reserved - spec.provider_reserved
    words = f"{facts.max_connections} max_connections − {facts.superuser_reserved} superuser_reserved_connections"
    if facts.reserved:
        words += f" − {facts.reserved} reserved_connections"
    if spec.provider_reserved:
        words += f" − {spec.provider_reserved} providerReserved"
    limits = [(max(0, general), words)]
    if spec.max_connections is not None:
        limits.append((spec.max_connections, "the budget's own maxConnections"))
    if facts.role_limit is not None:
        limits.append((facts.role_limit, "the role's CONNECTION LIMIT"))
    if facts.database_limit is not None:
        limits.append((facts.database_limit, "the database's CONNECTION LIMIT"))
    ceiling, binding = min(limits, key=lambda limit: limit[0])
    reserve = Connections(spec.reserve)
    return Capacity(
        usable=Connections(ceiling).minus(reserve).minus(OPERATOR),
        ceiling=Connections(ceiling),
        binding=binding,
        reserve=reserve,
    )
