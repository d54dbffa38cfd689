"""An app that asks another service, adopts the contract, and leaves its telemetry to whoever is asked for it."""

from __future__ import annotations

import os

import httpx2
from fastapi import FastAPI
from plimsoll_runtime import telemetry
from plimsoll_runtime.adopt import adopt
from plimsoll_runtime.outgoing import TracedTransport

app = FastAPI(telemetry={"exclude": telemetry.not_to_trace, "operation_spans": False})


@app.get("/call/{path}")
async def call(path: str) -> int:
    async with httpx2.AsyncClient(transport=TracedTransport(httpx2.AsyncHTTPTransport())) as client:
        answer = await client.get(f"{os.environ['OTHER']}/{path}?token=secret-canary")
        return answer.status_code


adopt(app, request_log=True)
