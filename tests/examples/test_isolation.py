"""No test of this folder sees another's rows, in whatever order they run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import pytest
from examples.factories import report_in
from examples.shuffling import shuffled
from fastapi.testclient import TestClient
from support.tokens import bearer

if TYPE_CHECKING:
    from fastapi import FastAPI
    from httpx2 import AsyncClient
    from support.postgres import PrivatePostgres

pytestmark = pytest.mark.integration

SAME = report_in(report_id="11111111-1111-4111-8111-111111111111")


@pytest.mark.parametrize("run", ["first", "second"])
def test_the_same_row_twice_with_test_client(client: TestClient, run: str) -> None:
    """Stored by both runs: whichever comes second would get a 409 if the first had left it behind."""
    assert client.get("/reports/count").json() == {"count": 0}
    assert client.post("/reports", json=SAME).status_code == 201
    assert client.post("/reports", json=SAME).status_code == 409, "within one test it is there"


@pytest.mark.anyio
@pytest.mark.parametrize("run", ["first", "second"])
async def test_the_same_row_twice_with_async_client(async_client: AsyncClient, run: str) -> None:
    assert (await async_client.get("/reports/count")).json() == {"count": 0}
    assert (await async_client.post("/reports", json=SAME)).status_code == 201
    assert (await async_client.post("/reports", json=SAME)).status_code == 409


def test_without_the_transaction_the_second_would_fail(app: FastAPI, postgres: PrivatePostgres) -> None:
    """The control: the same twice, and what the app commits is committed."""
    statuses = []
    try:
        for _ in ("first", "second"):
            with TestClient(app, headers=bearer()) as client:
                statuses.append(client.post("/reports", json=SAME).status_code)
    finally:
        postgres.execute("DELETE FROM report", database="app")
    assert statuses == [201, 409]


@dataclass(frozen=True)
class Named:
    nodeid: str


def order(seed: str) -> str:
    """Ten tests in the order of a seed; who collected them in which order does not matter."""
    one_way = shuffled([cast("pytest.Item", Named(str(n))) for n in range(10)], seed=seed)
    the_other = shuffled([cast("pytest.Item", Named(str(n))) for n in reversed(range(10))], seed=seed)
    assert one_way == the_other
    assert {item.nodeid for item in one_way} == set("0123456789")
    return "".join(item.nodeid for item in one_way)


def test_a_seed_repeats_its_order_and_another_has_another() -> None:
    assert order("1") == order("1") != order("2")
