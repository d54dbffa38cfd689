from __future__ import annotations

import asyncio
import gzip
from typing import TYPE_CHECKING

import pytest
from fastapi import BackgroundTasks, FastAPI, Request
from fastapi.responses import StreamingResponse
from httpx2 import ASGITransport, AsyncClient, Response
from plimsoll_runtime import problems
from plimsoll_runtime.limits import BodyLimitMiddleware, RequestDeadlineMiddleware

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

SOON = 0.1


class Ship:
    """An app, and what became of its handlers."""

    def __init__(self, *, seconds: float | None = SOON) -> None:
        self.seen: list[str] = []
        self.app = app = FastAPI()
        problems.install(app)
        app.add_middleware(BodyLimitMiddleware, max_bytes=1000)
        if seconds is not None:
            app.add_middleware(RequestDeadlineMiddleware, seconds=seconds)

        @app.post("/echo")
        async def echo(request: Request) -> str:
            return (await request.body()).decode()

        @app.get("/slow")
        async def slow() -> None:
            try:
                await asyncio.sleep(3 * SOON)
            except asyncio.CancelledError:
                self.seen.append("cancelled")
                raise
            self.seen.append("done")

        @app.get("/own")
        async def own() -> None:
            raise TimeoutError("the handler's own")

        @app.get("/stream")
        async def stream() -> StreamingResponse:
            async def ticks() -> AsyncIterator[str]:
                for _ in range(3):
                    yield "tick "
                    await asyncio.sleep(SOON)

            return StreamingResponse(ticks())

        @app.get("/later")
        async def later(tasks: BackgroundTasks) -> None:
            tasks.add_task(slow)

    async def request(self, method: str, path: str, **more: object) -> Response:
        transport = ASGITransport(app=self.app, raise_app_exceptions=False)
        async with AsyncClient(transport=transport, base_url="http://ship") as client:
            return await client.request(method, path, **more)  # type: ignore[arg-type] # passed on as given


async def test_a_handler_that_takes_too_long_is_cancelled_and_its_client_told() -> None:
    ship = Ship()
    answer = await ship.request("GET", "/slow")
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert (answer.headers["connection"], answer.headers["retry-after"]) == ("close", "1")
    assert "may or may not have taken effect" in answer.json()["detail"]
    assert ship.seen == ["cancelled"]


async def test_without_the_deadline_it_would_go_on() -> None:
    ship = Ship(seconds=None)
    assert (await ship.request("GET", "/slow")).status_code == 200
    assert ship.seen == ["done"]


async def test_an_upload_that_stalls_is_given_up_too() -> None:
    async def drip() -> AsyncIterator[bytes]:
        yield b"a"
        await asyncio.sleep(3 * SOON)

    assert (await Ship().request("POST", "/echo", content=drip())).status_code == 503


async def test_a_response_that_has_begun_may_last_and_so_may_what_runs_behind_it() -> None:
    ship = Ship()
    assert (await ship.request("GET", "/stream")).text == "tick tick tick "
    assert (await ship.request("GET", "/later")).status_code == 200
    assert ship.seen == ["done"]


async def test_each_request_has_its_own_time_whatever_became_of_those_before_it() -> None:
    ship = Ship()
    statuses = {"/slow": 503, "/stream": 200, "/nowhere": 404}
    paths = ["/slow", "/nowhere", "/stream", "/slow"]

    async def in_turn(number: int) -> tuple[str, int, float]:
        await asyncio.sleep(number * SOON / 3)
        path, began = paths[number % 4], asyncio.get_running_loop().time()
        answer = await ship.request("GET", path)
        return path, answer.status_code, asyncio.get_running_loop().time() - began

    for path, status, took in await asyncio.gather(*map(in_turn, range(16))):
        assert status == statuses[path]
        assert path != "/slow" or took > 0.9 * SOON, "not with those that came before"
    assert ship.seen == ["cancelled"] * 8


async def test_one_app_may_be_served_by_one_loop_after_the_other() -> None:
    ship = Ship()

    def elsewhere() -> int:
        return asyncio.run(ship.request("GET", "/nowhere")).status_code

    assert await asyncio.to_thread(elsewhere) == 404, "which leaves its timer in a loop that is gone"
    assert (await ship.request("GET", "/slow")).status_code == 503


async def test_who_cancels_from_outside_gets_what_he_wants() -> None:
    ship = Ship()
    request = asyncio.create_task(ship.request("GET", "/slow"))
    await asyncio.sleep(SOON / 2)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert ship.seen == ["cancelled"]


async def test_a_timeout_of_the_handlers_own_is_not_the_deadline() -> None:
    assert (await Ship().request("GET", "/own")).status_code == 500


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "br", "gzip, identity", "nonsense"])
async def test_a_compressed_body_is_refused_unread(encoding: str) -> None:
    bomb = gzip.compress(bytes(900_000))
    assert len(bomb) < 1000, "small enough for the limit of what is sent"
    answer = await Ship().request("POST", "/echo", content=bomb, headers={"content-encoding": encoding})
    assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "identity")
    assert answer.json()["detail"] == "Send the body uncompressed."


async def test_a_plain_one_is_read() -> None:
    answer = await Ship().request("POST", "/echo", content=b"plain", headers={"content-encoding": "Identity"})
    assert (answer.status_code, answer.json()) == (200, "plain")
