"""An app with everything that lasts too long. Adopts the contract unless ADOPT=no; LIFESPAN says what goes wrong."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from contextlib import asynccontextmanager
from logging.handlers import MemoryHandler
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import StreamingResponse
from plimsoll_runtime.adopt import adopt
from plimsoll_runtime.leaving import until_leaving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LIFESPAN = os.environ.get("LIFESPAN", "good")

buffered = logging.getLogger("buffered")
buffered.propagate = False
buffered.addHandler(MemoryHandler(1000, flushLevel=logging.CRITICAL, target=logging.StreamHandler()))
buffered.setLevel(logging.INFO)


async def opened(gate: Path) -> None:
    while not await asyncio.to_thread(gate.exists):  # noqa: ASYNC110 - the gate is another process's
        await asyncio.sleep(0.02)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    if LIFESPAN == "waits-to-start":
        print("starting", flush=True)  # noqa: T201 - the test looks for it
        try:
            await opened(Path(os.environ.get("GATE", "/nowhere")))
        except asyncio.CancelledError:
            print("start-up given up")  # noqa: T201 - likewise
            raise
    if LIFESPAN == "blocks-to-start":
        print("starting", flush=True)  # noqa: T201 - likewise
        time.sleep(600)  # noqa: ASYNC251 - that is what is wrong with it
    yield
    if LIFESPAN == "never-closes":
        await asyncio.Event().wait()
    buffered.info("buffered by a handler")
    print("printed, and closed")  # noqa: T201 - likewise


app = FastAPI(lifespan=lifespan)


@app.post("/slow")
async def slow() -> None:
    print("/slow began", flush=True)  # noqa: T201 - likewise
    try:
        await asyncio.sleep(600)
    finally:
        await asyncio.sleep(0.1)
        print("/slow unwound", flush=True)  # noqa: T201 - likewise


@app.post("/blocking")
def blocking() -> None:
    print("/blocking began", flush=True)  # noqa: T201 - likewise
    threading.Event().wait()


@app.get("/gated")
async def gated(gate: Path) -> str:
    print("/gated began", flush=True)  # noqa: T201 - likewise
    await opened(gate)
    return "through"


async def ticks() -> AsyncIterator[str]:
    while True:
        yield "tick\n"
        await asyncio.sleep(0.02)


@app.get("/told")
async def told(request: Request) -> StreamingResponse:
    return StreamingResponse(until_leaving(request, ticks()))


@app.get("/untold")
async def untold() -> StreamingResponse:
    return StreamingResponse(ticks())


@app.websocket("/echo")
async def echo(socket: WebSocket) -> None:
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(text)
    print("/echo saw the end", flush=True)  # noqa: T201 - likewise


@app.websocket("/deaf")
async def deaf(socket: WebSocket) -> None:
    await socket.accept()
    await asyncio.Event().wait()


@app.websocket("/pushing")
async def pushing(socket: WebSocket) -> None:
    await socket.accept()
    async for tick in ticks():
        await socket.send_text(tick)


if os.environ.get("ADOPT") != "no":
    adopt(app)
