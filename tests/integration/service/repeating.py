"""An app whose POST has an effect that can be counted: a row in ``report``. Gates are files, as in ``job_kinds``."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated
from uuid import uuid4

from captions.deps import Session
from captions.tables import Report
from fastapi import APIRouter, Depends, FastAPI, Form, Header, Request, Response, UploadFile
from fastapi.responses import StreamingResponse
from plimsoll_runtime import idempotency, problems
from plimsoll_runtime.engine import driver_connection, open_engine
from plimsoll_runtime.errors import ConflictError
from plimsoll_runtime.idempotency import IdempotentRoute, Key
from plimsoll_runtime.settings import get_settings
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import async_sessionmaker


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, object]]:
    async with open_engine(get_settings()) as engine:
        yield {"sessions": async_sessionmaker(engine, expire_on_commit=False)}


class Order(BaseModel):
    text: str
    gate: Path | None = None
    """Wait here, with the effect done and nothing committed."""
    fail: bool = False


async def claim(
    request: Request, session: Session, owner: Annotated[str, Header(alias="x-owner")] = "anna", key: Key = None
) -> None:
    if key is not None:
        lifetime = timedelta(seconds=get_settings().plimsoll_idempotency_seconds)
        await idempotency.claim(request, await driver_connection(session), owner=owner, key=key, lifetime=lifetime)


router = APIRouter(route_class=IdempotentRoute, dependencies=[Depends(claim)])
careless = APIRouter(dependencies=[Depends(claim)])


async def effect(session: Session, text: str) -> str:
    report = Report(id=uuid4(), text=text)
    session.add(report)
    await session.flush()
    return str(report.id)


@router.post("/orders", status_code=201)
async def order(wanted: Order, session: Session, response: Response) -> dict[str, str]:
    done = await effect(session, wanted.text)
    if wanted.gate is not None:
        (wanted.gate.parent / f"reached-{done}").touch()
        while not await asyncio.to_thread(wanted.gate.exists):  # noqa: ASYNC110 - the gate is another process's
            await asyncio.sleep(0.01)
    if wanted.fail:
        raise ConflictError("not this time")
    response.headers["location"] = f"/orders/{done}"
    response.headers["set-cookie"] = "moment=1"
    return {"id": done}


@router.post("/uploads")
async def upload(file: UploadFile, note: Annotated[str, Form()], session: Session) -> dict[str, str | int]:
    return {"id": await effect(session, note), "bytes": len(await file.read())}


@router.post("/stream")
async def stream(session: Session) -> StreamingResponse:
    await effect(session, "streamed")
    return StreamingResponse(iter(["never whole"]))


@careless.post("/careless")
async def forgotten(session: Session) -> None:
    await effect(session, "careless")


app = FastAPI(lifespan=lifespan)
problems.install(app)
app.include_router(router)
app.include_router(careless)
