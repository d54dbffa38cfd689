from __future__ import annotations

from typing import Any

import pytest
from plimsoll.api.connectionbudget import ConnectionBudgetSpec
from plimsoll.budget.capacity import Capacity, ServerFacts, capacity
from plimsoll.units import Connections


def facts(**wishes: Any) -> ServerFacts:
    usual: dict[str, Any] = {
        "version": "17.2",
        "max_connections": 100,
        "superuser_reserved": 3,
        "reserved": 0,
        "role_limit": None,
        "database_limit": None,
    }
    return ServerFacts(**usual | wishes)


def of(spec: dict[str, Any] | None = None, **wishes: Any) -> Capacity:
    whole = {"secretRef": {"name": "db"}, "reserve": 5} | (spec or {})
    return capacity(facts=facts(**wishes), spec=ConnectionBudgetSpec.model_validate(whole))


def test_a_default_server_gives_what_its_reservations_and_the_budgets_leave() -> None:
    assert str(of()) == ("100 max_connections − 3 superuser_reserved_connections = 97, − 5 reserve − 1 operator")


@pytest.mark.parametrize(
    ("wishes", "spec", "usable", "binding"),
    [
        ({}, {}, 91, "max_connections"),
        ({"reserved": 10}, {}, 81, "− 10 reserved_connections"),
        ({}, {"providerReserved": 15}, 76, "− 15 providerReserved"),
        ({}, {"maxConnections": 60}, 54, "the budget's own maxConnections"),
        ({"role_limit": 40}, {}, 34, "the role's CONNECTION LIMIT"),
        ({"database_limit": 30}, {}, 24, "the database's CONNECTION LIMIT"),
        ({"role_limit": 40, "database_limit": 30}, {"maxConnections": 20}, 14, "the budget's own maxConnections"),
        ({"role_limit": 300, "database_limit": 300}, {"maxConnections": 300}, 91, "max_connections"),
        ({}, {"reserve": 0}, 96, "max_connections"),
    ],
)
def test_the_smallest_limit_binds_and_is_named(
    wishes: dict[str, Any], spec: dict[str, Any], usable: int, binding: str
) -> None:
    result = of(spec, **wishes)
    assert result.connections == Connections(usable)
    assert binding in str(result)


@pytest.mark.parametrize(
    ("wishes", "spec"),
    [
        ({"max_connections": 10, "superuser_reserved": 8, "reserved": 8}, {}),
        ({"role_limit": 0}, {}),
        ({}, {"reserve": 500}),
        ({}, {"providerReserved": 200}),
    ],
)
def test_a_server_that_reserves_more_than_it_has_gives_nothing_and_no_debt(
    wishes: dict[str, Any], spec: dict[str, Any]
) -> None:
    assert of(spec, **wishes).connections == Connections(0)


def test_a_number_of_connections_is_never_negative() -> None:
    with pytest.raises(ValueError, match="-1 connections: a number of connections is never negative"):
        Connections(-1)
    assert Connections(3).minus(Connections(5)) == Connections(0)
