from __future__ import annotations

from typing import Any

import pytest
from plimsoll.api.budgetstatus import ServerStatus
from plimsoll.api.connectionbudget import ConnectionBudgetSpec
from plimsoll.budget.capacity import Capacity, ServerFacts, capacity, is_one_server
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


def test_and_its_ceiling_is_nothing_too() -> None:
    assert of(max_connections=10, superuser_reserved=8, reserved=8).ceiling == Connections(0)
    assert facts(backends={"a": 2, "b": 3}).live == 5


def test_a_number_of_connections_is_never_negative() -> None:
    with pytest.raises(ValueError, match="-1 connections: a number of connections is never negative"):
        Connections(-1)
    assert Connections(3).minus(Connections(5)) == Connections(0)


# ---- one server or two


def reading(started: str, observed: str, *, identity: str = "7") -> ServerStatus:
    return ServerStatus(
        system_identifier=identity, started_time=f"2026-01-01T{started}", observed_time=f"2026-01-01T{observed}Z"
    )


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param(reading("10:00:00.5Z", "12:00:00"), reading("10:00:00.5Z", "11:00:00"), True, id="one server"),
        pytest.param(
            reading("10:00:00.5Z", "12:00:00"), reading("10:00:00.7Z", "12:00:00"), False, id="a clone, or a standby"
        ),
        pytest.param(
            reading("10:00:00.5Z", "11:00:00"), reading("11:30:00.0Z", "12:00:00"), True, id="restarted since, perhaps"
        ),
        pytest.param(
            reading("10:00:00.5Z", "11:30:00"),
            reading("11:30:00.9Z", "12:00:00"),
            True,
            id="in that very second",
        ),
        pytest.param(
            reading("10:00:00.5Z", "11:30:01"), reading("11:30:00.9Z", "12:00:00"), False, id="read after that start"
        ),
        pytest.param(
            reading("10:00:00.5Z", "12:00:00", identity="8"), reading("10:00:00.5Z", "12:00:00"), False, id="another"
        ),
        pytest.param(
            reading("10:00:00.5Z", "12:00:00", identity=""),
            reading("10:00:00.5Z", "12:00:00", identity=""),
            False,
            id="two that do not say who they are",
        ),
    ],
)
def test_two_readings_are_of_one_server_unless_they_cannot_be(
    one: ServerStatus, other: ServerStatus, same: bool
) -> None:
    assert is_one_server(one, other) == is_one_server(other, one) == same


def test_lines_for_other_clients_and_the_operator_are_taken_off_with_their_names() -> None:
    lines = [{"name": "exporter", "connections": 2}, {"name": "backup", "connections": 3}]
    result = of({"clients": lines})
    assert result.connections == Connections(97 - 5 - 2 - 3 - 1)
    assert str(result).endswith("= 97, − 5 reserve − 2 exporter − 3 backup − 1 operator")
