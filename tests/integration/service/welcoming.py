"""Users who are welcomed by mail, in the two ways of docs/explanation/background-work.md, which quotes this file."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated
from uuid import UUID, uuid4

from anyio.to_thread import run_sync
from captions.deps import Session
from captions.mail import deliver
from captions.tables import Report
from captions.welcome import welcome
from fastapi import BackgroundTasks, Body, FastAPI, Request
from plimsoll_runtime import problems
from plimsoll_runtime.engine import open_engine
from plimsoll_runtime.errors import ConflictError
from plimsoll_runtime.jobs.model import StepInput
from plimsoll_runtime.settings import get_settings
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, object]]:
    async with open_engine(get_settings()) as engine:
        yield {"sessions": async_sessionmaker(engine, expire_on_commit=False)}


app = FastAPI(lifespan=lifespan)
problems.install(app)
Email = Annotated[str, Body(embed=True)]


async def create_user(session: AsyncSession) -> UUID:
    """A row that stands for a user."""
    user = Report(id=uuid4(), text="user")
    session.add(user)
    await session.flush()
    return user.id


@app.post("/durable", status_code=201)
async def durable(email: Email, session: Session) -> UUID:
    user_id = await create_user(session)
    await welcome(session, user_id=user_id, email=email)
    return user_id


@app.post("/refused", status_code=201)
async def refused(email: Email, session: Session) -> UUID:
    await durable(email, session)
    raise ConflictError


@app.post("/lossy", status_code=201)
async def lossy(email: Email, session: Session, request: Request, tasks: BackgroundTasks) -> UUID:
    user_id = await create_user(session)
    tasks.add_task(welcome_or_not, request.state.sessions, user_id, email)
    return user_id


async def welcome_or_not(sessions: async_sessionmaker[AsyncSession], user_id: UUID, email: str) -> None:
    """After the response: the request's own session is closed by now, so this one is fresh."""
    async with sessions() as session, session.begin():
        if await session.get(Report, user_id) is None:
            return
    await run_sync(deliver, StepInput(job=uuid4(), step="", attempt=1, input={"email": email}))
