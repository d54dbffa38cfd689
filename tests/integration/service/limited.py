"""An app that tells what it believes of its client, and that can take long, with captions' limits around it."""

import asyncio
from uuid import uuid4

from captions.app import create_app
from captions.deps import Session
from captions.tables import Report
from fastapi import Request
from sqlalchemy import text

app = create_app()


@app.get("/who")
async def who(request: Request) -> dict[str, object]:
    assert request.client is not None
    return {"client": request.client.host, "scheme": request.url.scheme, "url": str(request.url_for("who"))}


@app.post("/slow")
async def slow(session: Session) -> None:
    session.add(Report(id=uuid4(), text="slow"))
    await session.flush()
    await asyncio.sleep(600)


@app.post("/statement")
async def statement(session: Session) -> None:
    await session.execute(text("SELECT pg_sleep(600)"))
