from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from plimsoll_runtime.drain import EXTENSION, Drain, DrainMiddleware, Phase

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def serving(clock: Clock, *, seconds: float = 5) -> Drain:
    drain = Drain(seconds=seconds, clock=clock)
    drain.started()
    return drain


def after(seconds: float, drain: Drain, clock: Clock) -> Phase:
    clock.now += seconds
    return drain.phase


def test_it_keeps_serving_for_exactly_the_drain(clock: Clock) -> None:
    drain = serving(clock, seconds=5)
    drain.terminate()
    assert after(0, drain, clock) is Phase.DRAINING
    assert after(4.999, drain, clock) is Phase.DRAINING
    assert after(0.001, drain, clock) is Phase.STOPPING


def test_a_second_sigterm_neither_shortens_nor_prolongs_it(clock: Clock) -> None:
    drain = serving(clock, seconds=5)
    drain.terminate()
    clock.now += 3
    drain.terminate()
    assert after(1.999, drain, clock) is Phase.DRAINING
    assert after(0.001, drain, clock) is Phase.STOPPING


def test_a_drain_of_zero_is_no_drain(clock: Clock) -> None:
    drain = serving(clock, seconds=0)
    drain.terminate()
    assert drain.phase is Phase.STOPPING


def test_before_the_first_request_there_is_nobody_to_drain(clock: Clock) -> None:
    drain = Drain(seconds=5, clock=clock)
    drain.terminate()
    drain.started()
    assert drain.phase is Phase.STOPPING


def test_ctrl_c_does_not_wait(clock: Clock) -> None:
    drain = serving(clock)
    drain.terminate()
    drain.interrupt()
    assert drain.phase is Phase.STOPPING


async def respond(_: Scope, __: Receive, send: Send) -> None:
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"Connection", b"keep-alive"), (b"a", b"b")]}
    )
    await send({"type": "http.response.body", "body": b""})


async def headers_of(drain: Drain) -> list[tuple[bytes, bytes]]:
    sent: list[Message] = []
    scope: Scope = {"type": "http"}

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError("nobody should read")

    await DrainMiddleware(respond, drain=drain)(scope, receive, send)
    assert scope["extensions"][EXTENSION] is drain
    headers: list[tuple[bytes, bytes]] = sent[0]["headers"]
    return headers


@pytest.mark.anyio
async def test_only_while_leaving_does_a_response_end_its_connection(clock: Clock) -> None:
    drain = serving(clock)
    assert await headers_of(drain) == [(b"Connection", b"keep-alive"), (b"a", b"b")]
    drain.terminate()
    assert await headers_of(drain) == [(b"a", b"b"), (b"connection", b"close")]
    clock.now += 60
    assert await headers_of(drain) == [(b"a", b"b"), (b"connection", b"close")]


@pytest.mark.anyio
async def test_the_end_of_the_lifespans_start_is_the_start_of_serving(clock: Clock) -> None:
    drain = Drain(seconds=5, clock=clock)

    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "lifespan.startup.complete"})

    async def nothing(*_: object) -> Message:
        return {}

    await DrainMiddleware(app, drain=drain)({"type": "lifespan"}, nothing, nothing)  # type: ignore[arg-type] # both ends
    assert drain.phase is Phase.SERVING
