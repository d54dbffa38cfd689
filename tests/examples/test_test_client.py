"""Sync tests: the whole app behind Starlette's TestClient, its lifespan included."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from captions.deps import open_session
from examples.factories import report_in
from plimsoll_runtime.errors import BusyError

if TYPE_CHECKING:
    from examples.conftest import Overrides
    from fastapi.testclient import TestClient

pytestmark = pytest.mark.integration


def test_a_report_is_stored_and_read(client: TestClient) -> None:
    stored = client.post("/reports", json=report_in())
    assert stored.status_code == 201
    assert client.get(f"/reports/{stored.json()['report_id']}").json() == stored.json()
    assert client.get("/reports/count").json() == {"count": 1}


def test_a_mistake_is_named_and_not_repeated(client: TestClient) -> None:
    answer = client.post("/reports", json=report_in(text="x" * 501))
    assert answer.status_code == 422
    assert [error["place"] for error in answer.json()["errors"]] == ["body.text"]
    assert "xxx" not in answer.text


@pytest.mark.parametrize("run", ["first", "second"])
def test_overrides_end_with_their_test(client: TestClient, overrides: Overrides, run: str) -> None:
    """Twice, in either order: neither finds what the other has put in."""
    assert set(overrides) == {open_session}
    assert client.get(f"/reports/{uuid4()}").status_code == 404

    async def busy() -> None:
        raise BusyError

    overrides[open_session] = busy
    overrides[busy] = busy
    assert client.get(f"/reports/{uuid4()}").status_code == 503
