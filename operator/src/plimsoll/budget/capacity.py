"""What a PostgreSQL server can give to services: ``capacity``.

First step of the flow: the probe reads ``ServerFacts`` from the live server, the budget's spec says what else to hold
back, and ``capacity`` makes one number of both. Also here: whether two budgets point at one server.

Source of the formula: PostgreSQL lets an ordinary role connect while more than ``superuser_reserved_connections`` +
``reserved_connections`` slots of ``max_connections`` are free; CONNECTION LIMITs of a role or database cap it further
(manual, §§ 19.3.1, CREATE ROLE, CREATE DATABASE).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from plimsoll.units import Connections, total

if TYPE_CHECKING:
    from collections.abc import Mapping

    from plimsoll.api.budgetstatus import ServerStatus
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
    system_identifier: str = ""
    started: str = ""
    """When the server was started, by its own clock."""

    backends: Mapping[str, int] = field(default_factory=dict)
    """Client connections at that moment by application_name, the probe's own left out."""

    @property
    def live(self) -> int:
        """All of these."""
        return sum(self.backends.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class Capacity:
    """The connections that the server gives to services in all.

    Attributes:
        connections: the number; it has yet to lose the margin, which depends on who claims.
        ceiling: what binds before anything of the budget's own is taken off.
        binding: which of the server's limits that is, in words.
        deductions: what is taken off it, with labels.
    """

    connections: Connections
    ceiling: Connections
    binding: str
    deductions: tuple[tuple[Connections, str], ...]

    def __str__(self) -> str:
        less = "".join(f" − {count} {label}" for count, label in self.deductions)
        return f"{self.binding} = {self.ceiling},{less}"


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
    deductions = (
        (Connections(spec.reserve), "reserve"),
        *((Connections(client.connections), client.name) for client in spec.clients),
        (OPERATOR, "operator"),
    )
    return Capacity(
        connections=Connections(ceiling).minus(total(count for count, _ in deductions)),
        ceiling=Connections(ceiling),
        binding=binding,
        deductions=deductions,
    )


def is_one_server(one: ServerStatus, other: ServerStatus) -> bool:
    """Whether two readings may be of the same server.

    A standby and a clone have the primary's system identifier, but were started at another moment. A server that was
    restarted between the two readings has another one as well: only a reading taken after the later start tells the two
    apart. In doubt they are one, which at worst refuses what would fit until the next reading.
    """
    if not one.system_identifier or one.system_identifier != other.system_identifier:
        return False
    if one.started_time == other.started_time:
        return True
    earlier, later = sorted((one, other), key=lambda each: each.started_time)
    return earlier.observed_time[:19] <= later.started_time[:19]  # to the second, as Kubernetes writes it
