from __future__ import annotations

import pytest
from httpx2 import ASGITransport, AsyncClient
from plimsoll_runtime.drain import Drain
from plimsoll_runtime.health import HealthMiddleware
from starlette.responses import PlainTextResponse

pytestmark = pytest.mark.anyio


async def statuses(drain: Drain) -> tuple[int, int, int]:
    transport = ASGITransport(app=HealthMiddleware(PlainTextResponse("app", 201), drain=drain, tell_metrics=True))
    async with AsyncClient(transport=transport, base_url="http://pod") as client:
        live, ready, other = [(await client.get(path)).status_code for path in ("/healthz", "/readyz", "/")]
    return live, ready, other


async def test_alive_at_once_and_ready_once_started() -> None:
    drain = Drain(seconds=5)
    assert await statuses(drain) == (200, 503, 201)
    drain.started()
    assert await statuses(drain) == (200, 200, 201)


async def test_ready_while_it_drains() -> None:
    drain = Drain(seconds=5)
    drain.started()
    drain.terminate()
    assert await statuses(drain) == (200, 200, 201)
