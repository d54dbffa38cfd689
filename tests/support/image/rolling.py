"""The reference service with what lasts besides: a slow answer, a stream without a natural end, a WebSocket.

    python -m plimsoll_runtime serve rolling:app, uvicorn rolling:app, gunicorn rolling:app

For the load of ``tests/support/loadgen``: ``/reports`` and ``/jobs`` are the reference service's own, and ``/notes`` is
the least that stores something, for a million of them.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from captions.app import create_app
from captions.deps import Session, current_user
from captions.models import ReportIn
from captions.routes import reports
from fastapi import APIRouter, Query, Request, WebSocket
from fastapi.responses import JSONResponse, StreamingResponse
from plimsoll_runtime.adopt import adopt
from plimsoll_runtime.incoming import Received
from plimsoll_runtime.json_route import JsonRoute
from plimsoll_runtime.leaving import until_leaving
from plimsoll_runtime.tokens import Principal
from pydantic import Field
from sqlalchemy import text

TICK_SECONDS = 0.2
STORE = text("INSERT INTO report (id, text) VALUES (:id, :text)")

router = APIRouter(route_class=JsonRoute)
app = create_app()
app.dependency_overrides[current_user] = lambda: Principal(subject="load")  # rollouts are looked at here, not tokens


class SlowIn(ReportIn):
    """A report that takes its time."""

    seconds: Annotated[float, Field(ge=0, le=60)]


@router.post("/slow", status_code=201)
async def slow(report: Received[SlowIn], session: Session) -> JSONResponse:
    """Store a report, but not at once."""
    await asyncio.sleep(report.seconds)
    stored = await reports.create(ReportIn(report_id=report.report_id, text=report.text), session)
    return JSONResponse({"report_id": str(stored.report_id)}, status_code=201)


@router.post("/notes", status_code=201)
async def note(request: Request) -> JSONResponse:
    """Store a report in one statement."""
    report = ReportIn.model_validate_json(await request.body())
    async with request.state.sessions() as session:  # one statement is a transaction by itself
        connection = await session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
        await connection.execute(STORE, {"id": report.report_id, "text": report.text})
    return JSONResponse({"report_id": str(report.report_id)}, status_code=201)


@router.get("/stream")
async def stream(request: Request, seconds: Annotated[float, Query(ge=0, le=600)]) -> StreamingResponse:
    """A line now and then, until the time is over or the process leaves."""

    async def lines() -> AsyncIterator[str]:
        for number in range(int(seconds / TICK_SECONDS)):
            yield f"line {number}\n"
            await asyncio.sleep(TICK_SECONDS)

    return StreamingResponse(until_leaving(request, lines()), media_type="text/plain")


@router.websocket("/echo")
async def echo(websocket: WebSocket) -> None:
    """Say everything back."""
    await websocket.accept()
    async for message in websocket.iter_text():
        await websocket.send_text(message)


app.include_router(router)
adopt(app)  # for uvicorn and gunicorn; under plimsoll_runtime it steps aside
