"""What a server can give: which of its limits binds, and what is held back."""

from __future__ import annotations

import pytest
from plimsoll.api.connectionbudget import ConnectionBudgetSpec
from plimsoll.budget.capacity import ServerFacts, capacity
from plimsoll.units import Connections


def facts(**changes: int | None) -> ServerFacts:
    usual = {"max_connections": 100, "superuser_reserved": 3, "reserved": 0, "role_limit": None, "database_limit": None}
    return ServerFacts(version="17.6", live=0, **(usual | changes))


def spec(**changes: int) -> ConnectionBudgetSpec:
    return ConnectionBudgetSpec.model_validate({"secretRef": {"name": "db"}, "reserve": 0, **changes})


def test_the_default_server_gives_ninety_six_one_of_its_slots_being_the_operators():
    assert capacity(facts=facts(), spec=spec()).usable == Connections(96)


@pytest.mark.parametrize(
    ("server", "budget", "usable", "binding"),
    [
        ({}, {"reserve": 5}, 91, "superuser_reserved_connections"),
        ({"reserved": 10}, {}, 86, "10 reserved_connections"),
        ({}, {"providerReserved": 15}, 81, "15 providerReserved"),
        ({}, {"maxConnections": 50}, 49, "the budget's own maxConnections"),
        ({"role_limit": 20}, {}, 19, "the role's CONNECTION LIMIT"),
        ({"database_limit": 30}, {}, 29, "the database's CONNECTION LIMIT"),
        ({"role_limit": 20, "database_limit": 30}, {"maxConnections": 25, "reserve": 4}, 15, "role's"),
        ({"role_limit": 0}, {}, 0, "role's"),
    ],
)
def test_the_smallest_limit_binds_and_is_named(server, budget, usable, binding):
    result = capacity(facts=facts(**server), spec=spec(**budget))
    assert result.usable == Connections(usable)
    assert binding in str(result)
    assert str(result).startswith(f"{usable} usable")


def test_a_server_that_reserves_more_than_it_has_gives_nothing_rather_than_a_debt():
    assert capacity(facts=facts(max_connections=10, superuser_reserved=3), spec=spec(reserve=50)).usable == Connections(
        0
    )
    assert capacity(facts=facts(max_connections=10), spec=spec(providerReserved=20)).usable == Connections(0)


def test_a_number_of_connections_is_never_negative():
    with pytest.raises(ValueError, match="never negative"):
        Connections(-1)
