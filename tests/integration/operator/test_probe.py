"""The probe against a real PostgreSQL server: what it reads, and what it says when it cannot."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import psycopg
import pytest
from plimsoll.api.connectionbudget import ConnectionBudgetSpec
from plimsoll.budget.capacity import capacity
from plimsoll.errors import ProbeFailed
from plimsoll_operator.probe import probe
from support.eventually import eventually
from support.postgres import PASSWORD, URL_PASSWORD, PrivatePostgres

if TYPE_CHECKING:
    from collections.abc import Iterator

    from plimsoll.budget.capacity import ServerFacts

pytestmark = pytest.mark.integration

SLOTS = 20


@pytest.fixture(scope="module")
def server() -> Iterator[PrivatePostgres]:
    with PrivatePostgres(max_connections=SLOTS) as server:
        server.execute(f"CREATE ROLE bare LOGIN PASSWORD '{PASSWORD}'")
        yield server


@pytest.fixture(autouse=True)
def _as_before(server: PrivatePostgres) -> Iterator[None]:
    """Limits are taken back, and everybody has left, so that no test meets another's."""
    yield
    server.execute("ALTER ROLE bare CONNECTION LIMIT -1")
    server.execute("ALTER DATABASE app CONNECTION LIMIT -1")
    eventually(lambda: clients(server) == 0)


def clients(server: PrivatePostgres) -> int:
    """How many clients there are by the server's own, unrestricted account; the asking one left out."""
    rows = server.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )
    return int(rows[0][0])


def read(uri: str) -> ServerFacts:
    return asyncio.run(probe(uri, connect_timeout_seconds=5))


def failure(uri: str) -> ProbeFailed:
    with pytest.raises(ProbeFailed) as caught:
        read(uri)
    said = str(caught.value)
    assert PASSWORD not in said
    assert URL_PASSWORD not in said
    assert "\n" not in said
    assert said.endswith(".")
    return caught.value


def crowd(stack: ExitStack, server: PrivatePostgres, *, user: str, count: int) -> None:
    for _ in range(count):
        stack.enter_context(psycopg.connect(server.url(user=user)))


def connected(server: PrivatePostgres, *, user: str) -> psycopg.Connection | None:
    with suppress(psycopg.OperationalError):
        return psycopg.connect(server.url(user=user))
    return None


def test_it_reads_the_servers_limits_with_any_role_that_can_connect(server: PrivatePostgres) -> None:
    facts = read(server.url(user="bare"))
    assert (facts.max_connections, facts.superuser_reserved, facts.role_limit, facts.database_limit) == (
        SLOTS,
        3,
        None,
        None,
    )
    assert facts.version.split(".")[0].isdigit()


def test_it_reads_the_limits_of_its_role_and_of_its_database(server: PrivatePostgres) -> None:
    server.execute("ALTER ROLE bare CONNECTION LIMIT 7")
    server.execute("ALTER DATABASE app CONNECTION LIMIT 9")
    facts = read(server.url(user="bare"))
    assert (facts.role_limit, facts.database_limit) == (7, 9)


def test_limits_of_zero_are_limits(server: PrivatePostgres) -> None:
    server.execute("ALTER DATABASE app CONNECTION LIMIT 0")
    said = failure(server.url(user="bare"))
    assert said.full
    assert 'too many connections for database "app"' in str(said)


def test_a_superuser_is_not_bound_by_them_and_the_probe_knows(server: PrivatePostgres) -> None:
    server.execute("ALTER DATABASE app CONNECTION LIMIT 9")
    facts = read(server.url(user="postgres"))
    assert (facts.role_limit, facts.database_limit) == (None, None)


@pytest.mark.parametrize("asking", ["bare", "owner", "postgres"])
def test_every_client_counts_once_whoever_asks_and_nobody_else_does(server: PrivatePostgres, asking: str) -> None:
    assert read(server.url(user=asking)).live == 0, "background processes are no clients"
    with ExitStack() as stack:
        crowd(stack, server, user="owner", count=3)
        crowd(stack, server, user="bare", count=2)
        crowd(stack, server, user="postgres", count=1)
        assert read(server.url(user=asking)).live == 6


def test_clients_are_told_apart_by_their_application_name_whoever_asks(server: PrivatePostgres) -> None:
    with ExitStack() as stack:
        for name in ("shop-web-1", "shop-web-1", "pgbackrest"):
            stack.enter_context(psycopg.connect(server.url(user="owner"), application_name=name))
        assert dict(read(server.url(user="bare")).backends) == {"shop-web-1": 2, "pgbackrest": 1}


def test_any_role_learns_which_database_cluster_it_is_and_since_when_it_runs(server: PrivatePostgres) -> None:
    facts = read(server.url(user="bare"))
    rows = server.execute(
        "SELECT system_identifier::text, date_trunc('second', pg_postmaster_start_time() AT TIME ZONE 'UTC')::text"
        " FROM pg_control_system()"
    )
    assert (facts.system_identifier, facts.started[:19].replace("T", " ")) == tuple(rows[0])
    assert facts.started.endswith("Z")


def test_where_a_provider_hides_the_identifier_the_rest_is_read_all_the_same(server: PrivatePostgres) -> None:
    server.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC", database="app")
    try:
        facts = read(server.url(user="bare"))
    finally:
        server.execute("GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC", database="app")
    assert (facts.system_identifier, facts.max_connections) == ("", SLOTS)


def test_what_it_makes_of_the_server_is_what_an_ordinary_role_can_really_open(server: PrivatePostgres) -> None:
    spec = ConnectionBudgetSpec.model_validate({"secretRef": {"name": "x"}, "reserve": 0})
    gives = capacity(facts=read(server.url(user="bare")), spec=spec).connections.count
    with ExitStack() as stack:
        crowd(stack, server, user="bare", count=gives)
        read(server.url(user="bare"))  # the last slot is the operator's own, and free again once its backend has ended
        stack.enter_context(eventually(lambda: connected(server, user="bare")))
        with pytest.raises(psycopg.OperationalError, match="remaining connection slots are reserved"):
            psycopg.connect(server.url(user="bare"))


def test_a_server_without_a_slot_is_told_from_one_that_is_away(server: PrivatePostgres) -> None:
    with ExitStack() as stack:
        crowd(stack, server, user="bare", count=SLOTS - 3)
        ordinary = failure(server.url(user="bare"))
        crowd(stack, server, user="postgres", count=3)
        special = failure(server.url(user="postgres"))
    assert (ordinary.full, special.full) == (True, True)
    assert "remaining connection slots are reserved" in str(ordinary)
    assert "too many clients already" in str(special)


def test_a_role_at_its_limit_is_full_too(server: PrivatePostgres) -> None:
    server.execute("ALTER ROLE bare CONNECTION LIMIT 1")
    with ExitStack() as stack:
        crowd(stack, server, user="bare", count=1)
        said = failure(server.url(user="bare"))
    assert said.full
    assert 'too many connections for role "bare"' in str(said)


def test_a_wrong_password_is_told_with_the_role_and_without_the_password(server: PrivatePostgres) -> None:
    said = failure(server.url(user="bare", password="not-" + URL_PASSWORD))
    assert not said.full
    assert 'password authentication failed for user "bare"' in str(said)


def test_a_database_that_is_not_there_is_named(server: PrivatePostgres) -> None:
    assert 'database "nowhere" does not exist' in str(failure(server.url(user="bare", database="nowhere")))


def test_a_server_that_is_not_there_is_unreachable(server: PrivatePostgres) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    said = failure(server.url(user="bare").replace(f":{server.port}/", f":{free}/"))
    assert not said.full
    assert "Connection refused" in str(said)


def test_a_host_without_a_name_is_unreachable(server: PrivatePostgres) -> None:
    said = failure(server.url(user="bare").replace("127.0.0.1", "nowhere.invalid"))
    assert "nowhere.invalid" in str(said)


def test_a_server_that_accepts_and_says_nothing_is_given_up(server: PrivatePostgres) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = server.url(user="bare").replace(f":{server.port}/", f":{silent.getsockname()[1]}/")
        with pytest.raises(ProbeFailed) as caught:
            asyncio.run(probe(uri, connect_timeout_seconds=2))
    assert not caught.value.full
    assert PASSWORD not in str(caught.value)


def test_the_operators_connection_is_named_and_is_gone_afterwards(server: PrivatePostgres) -> None:
    read(server.url(user="bare"))
    eventually(
        lambda: not server.execute("SELECT 1 FROM pg_stat_activity WHERE application_name = 'plimsoll-operator'")
    )
