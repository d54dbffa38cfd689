"""Async tests: the client, the app and the test's own session share one loop and one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from captions.tables import Report
from examples.factories import report_in, stored_report
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
