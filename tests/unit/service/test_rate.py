from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from httpx2 import ASGITransport, AsyncClient
from hypothesis import given
from hypothesis import strategies as st
from plimsoll_runtime.errors import TooManyRequestsError
from plimsoll_runtime.rate import RateLimit, RateLimitMiddleware, client_of
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from starlette.types import Scope


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def limit(clock: Clock, **more: Any) -> RateLimit:
    return RateLimit(**({"per_second": 2, "burst": 3} | more), clock=clock)


def test_a_full_bucket_holds_the_burst_and_fills_at_its_rate() -> None:
    clock = Clock()
    bucket = limit(clock)
    assert [bucket.take("a") for _ in range(3)] == [0, 0, 0]
    assert bucket.take("a") == pytest.approx(0.5)
    assert bucket.take("a") == pytest.approx(0.5), "who is refused pays nothing"
    assert bucket.take("b") == 0, "everyone has one of their own"
    clock.now += 0.5
    assert (bucket.take("a"), bucket.take("a") > 0) == (0, True)


def test_a_refusal_says_when_to_come_back() -> None:
    bucket = limit(Clock(), per_second=0.1, burst=1)
    bucket.check("a")
    with pytest.raises(TooManyRequestsError) as refused:
        bucket.check("a")
    assert refused.value.headers == {"retry-after": "10"}


@given(
    gaps=st.lists(st.floats(0, 5), max_size=80),
    burst=st.integers(1, 5),
    per_second=st.sampled_from([0.5, 1.0, 2.0, 10.0]),
)
def test_never_more_than_burst_and_rate_allow(gaps: list[float], burst: int, per_second: float) -> None:
    """Across generations of remembered buckets too, in every window of time."""
    clock = Clock()
    bucket = limit(clock, per_second=per_second, burst=burst)
    taken: list[float] = []
    for gap in gaps:
        clock.now += gap
        before = len(taken)
        if not bucket.take("a"):
            taken.append(clock.now)
        if gap >= burst / per_second:
            assert len(taken) > before, "a bucket that had the time to fill gives"
    for i, first in enumerate(taken):
        for j, last in enumerate(taken[i:], start=1):
            assert j <= burst + per_second * (last - first) + 1e-6


def test_memory_is_bounded_by_letting_through_and_idle_clients_are_forgotten() -> None:
    clock = Clock()
    bucket = limit(clock, max_clients=100)
    for client in range(10_000):
        assert bucket.take(client) == 0
        assert len(bucket) <= 200
    clock.now += 100
    bucket.take("a")
    assert len(bucket) == 1


@pytest.mark.parametrize("wrong", [{"per_second": 0}, {"burst": 0}])
def test_a_bucket_that_gives_nothing_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must hold and get something"):
        limit(Clock(), **wrong)


@pytest.mark.parametrize(
    ("host", "bucket"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("some:thing", "some:thing"),
    ],
)
def test_whose_bucket(host: str, bucket: str) -> None:
    scope: Scope = {"type": "http", "client": (host, 1234)}
    assert client_of(scope) == bucket
    assert client_of({"type": "http", "client": None}) == ""


@pytest.mark.anyio
async def test_the_middleware_answers_429() -> None:
    app = RateLimitMiddleware(PlainTextResponse("app"), limit=limit(Clock(), burst=1))
    async with AsyncClient(transport=ASGITransport(app=app), base_url="http://ship") as client:
        assert (await client.get("/")).status_code == 200
        refused = await client.get("/")
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert refused.headers["content-type"] == "application/problem+json"
    async with AsyncClient(transport=ASGITransport(app=app, client=("192.0.2.9", 1)), base_url="http://ship") as other:
        assert (await other.get("/")).status_code == 200
