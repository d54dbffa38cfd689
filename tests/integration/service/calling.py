"""An app that asks another service, adopts the contract, and leaves its telemetry to whoever is asked for it."""

from __future__ import annotations

import os

from fastapi import FastAPI
from plimsoll_runtime import telemetry
from plimsoll_runtime.adopt import adopt
from plimsoll_runtime.client import open_client
from plimsoll_runtime.settings import get_settings

app = FastAPI(telemetry={"exclude": telemetry.not_to_trace, "operation_spans": False})


@app.get("/call/{path}")
async def call(path: str) -> int:
    async with open_client(get_settings()) as client:
        answer = await client.get(f"{os.environ['OTHER']}/{path}?token=secret-canary")
        return answer.status_code


adopt(app, request_log=True)
