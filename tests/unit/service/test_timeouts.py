from __future__ import annotations

import psycopg
import pytest
from plimsoll_runtime.connecting import advice, connect_arguments
from plimsoll_runtime.settings import DatabaseUrl, Settings
from plimsoll_runtime.timeouts import Timeouts

URL = "postgresql://a@h/d"


def settings(url: str = URL, **more: object) -> Settings:
    return Settings.model_validate({"database_url": url} | more)


@pytest.mark.parametrize("deadline", [0.1, 1, 3, 6, 20, 60, 3600])
def test_each_wait_ends_before_the_one_around_it(deadline: float) -> None:
    each = Timeouts.of(settings(plimsoll_request_deadline_seconds=deadline))
    assert 0 < each.pool < each.statement < each.request <= each.idle_in_transaction
    assert each.connect < each.upstream < each.request == deadline
    assert each.pool + each.connect < each.request, "503 is an answer in time"


def test_the_usual_ones() -> None:
    each = Timeouts.of(settings())
    assert (each.request, each.statement, each.pool, each.connect, each.upstream) == (20, 15, 5, 3, 10)


def test_the_server_is_told_its_part() -> None:
    assert connect_arguments(settings())["options"] == (
        "-c client_connection_check_interval=5000 -c statement_timeout=15000"
        " -c idle_in_transaction_session_timeout=20000"
    )
    assert connect_arguments(settings(), bounded=False)["options"] == "-c client_connection_check_interval=5000"


def test_what_the_url_or_the_environment_asks_for_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c geqo=off")
    assert connect_arguments(settings())["options"].endswith("=20000 -c geqo=off")
    own = connect_arguments(settings(f"{URL}?options=-cstatement_timeout%3D1s"))["options"]
    assert own.endswith("=20000 -cstatement_timeout=1s"), "and libpq takes the last"


def test_behind_a_pooler_that_takes_no_options_there_are_none() -> None:
    assert "options" not in connect_arguments(settings(plimsoll_server_timeouts=False))


@pytest.mark.parametrize(
    "said",
    [
        "unsupported startup parameter: options",
        'unrecognized configuration parameter "client_connection_check_interval"',
    ],
)
def test_a_refusal_of_them_is_explained(said: str) -> None:
    assert "PLIMSOLL_SERVER_TIMEOUTS=false" in str(advice(psycopg.OperationalError(f"FATAL:  {said}")))
    assert advice(psycopg.OperationalError("Connection refused")) is None


def test_the_urls_own_options_are_read() -> None:
    assert DatabaseUrl(f"{URL}?options=-csearch_path%3Dapp").options == "-csearch_path=app"
    assert DatabaseUrl(URL).options == ""
