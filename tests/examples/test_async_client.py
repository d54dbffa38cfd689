"""Async tests: the client, the app and the test's own session share one loop and one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from captions.deps import ADMIN
from captions.tables import Account, Report
from examples.factories import report_in, stored_report, stored_user, token_of, user_in
from sqlalchemy import func, select

if TYPE_CHECKING:
    from httpx2 import AsyncClient
    from sqlalchemy.ext.asyncio import AsyncSession

pytestmark = [pytest.mark.integration, pytest.mark.anyio]


async def test_what_the_app_stores_the_test_can_read(async_client: AsyncClient, session: AsyncSession) -> None:
    answer = await async_client.post("/reports", json=report_in(text="  two blanks  "))
    assert answer.status_code == 201
    assert await session.scalar(select(Report.text)) == "two blanks"


async def test_what_the_test_stores_the_app_can_read(async_client: AsyncClient, session: AsyncSession) -> None:
    report = await stored_report(session, text="their / there")
    answer = await async_client.get(f"/reports/{report.id}")
    assert (answer.status_code, answer.json()["text"]) == (200, "their / there")


async def test_what_fails_in_the_app_leaves_nothing_and_breaks_nothing(
    async_client: AsyncClient, session: AsyncSession
) -> None:
    """The savepoint of the failed request is rolled back; the test's transaction goes on."""
    report = await stored_report(session)
    again = await async_client.post("/reports", json=report_in(report_id=str(report.id)))
    assert (again.status_code, again.json()["detail"]) == (409, "A report with this id is already stored.")
    assert (await async_client.post("/reports", json=report_in())).status_code == 201
    assert await session.scalar(select(func.count()).select_from(Report)) == 2


async def test_each_request_is_somebodys(async_client: AsyncClient, session: AsyncSession) -> None:
    """By its token: a user sees themselves, to others they do not exist, an administrator sees all."""
    ada, bob = await stored_user(session), await stored_user(session)
    for token, status in ((token_of(ada), 200), (token_of(bob), 404), (token_of(bob, ADMIN), 200)):
        assert (await async_client.get(f"/users/{ada.id}", headers=token)).status_code == status


async def test_a_post_that_is_sent_again_is_done_once(async_client: AsyncClient, session: AsyncSession) -> None:
    answers = [
        await async_client.post("/users", json=body, headers={"idempotency-key": "once"})
        for body in [user_in(email="ada@example.org")] * 2
    ]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert await session.scalar(select(func.count()).select_from(Account)) == 1
