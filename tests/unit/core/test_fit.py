"""How large a pool may be: never over what fits, never under its floor, and no flapping."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plimsoll.budget.fit import Wish, fit, floor_of, largest


@pytest.mark.parametrize(
    ("size", "least", "floor"), [(10, None, 5), (9, None, 5), (1, None, 1), (10, 1, 1), (10, 10, 10)]
)
def test_the_floor_is_as_declared_or_half_rounded_up(size: int, least: int | None, floor: int) -> None:
    assert floor_of(size, least) == floor


@given(low=st.integers(1, 40), high=st.integers(0, 40), limit=st.integers(0, 50))
def test_the_search_finds_the_largest_that_fits(low: int, high: int, limit: int) -> None:
    expected = min(high, limit) if low <= min(high, limit) else 0
    assert largest(low=low, high=high, fits=lambda size: size <= limit) == expected


def test_it_asks_for_no_size_that_is_not_wished_for() -> None:
    asked: list[int] = []

    def fits(size: int) -> bool:
        asked.append(size)
        return size <= 6

    largest(low=4, high=9, fits=fits)
    assert set(asked) <= set(range(4, 10))


@pytest.mark.parametrize(
    ("current", "rested", "room", "expected"),
    [
        pytest.param(0, True, 7, 7, id="a new one gets the largest that fits"),
        pytest.param(0, False, 7, 7, id="at once"),
        pytest.param(7, True, 6, 6, id="one that must shrink shrinks"),
        pytest.param(7, False, 6, 6, id="rested or not"),
        pytest.param(7, True, 8, 7, id="one more is not worth a rollout"),
        pytest.param(7, True, 9, 9, id="a quarter of what is asked for is"),
        pytest.param(5, True, 9, 9, id="and so is more than that"),
        pytest.param(7, False, 9, 7, id="but not before it has rested"),
        pytest.param(9, True, 10, 10, id="all that is asked for is, however little that is"),
        pytest.param(9, False, 10, 9, id="and that has to wait as well"),
        pytest.param(12, True, 10, 10, id="a larger one of before is no reason"),
        pytest.param(4, True, 6, 6, id="nor is one below the floor"),
        pytest.param(5, True, 4, 0, id="below the floor nothing is worth running"),
        pytest.param(7, True, 7, 7, id="what it has is kept"),
    ],
)
def test_a_pool_of_ten_with_a_floor_of_five(current: int, rested: bool, room: int, expected: int) -> None:
    wish = Wish(size=10, floor=5, current=current, rested=rested)
    assert fit(wish, fits=lambda size: size <= room) == expected


def test_of_a_small_pool_one_more_is_a_good_deal() -> None:
    assert fit(Wish(size=3, floor=1, current=1), fits=lambda size: size <= 2) == 2


WISHES = st.builds(
    lambda size, floor, current, rested: Wish(size=size, floor=min(floor, size), current=current, rested=rested),
    st.integers(1, 30),
    st.integers(1, 30),
    st.integers(0, 35),
    st.booleans(),
)


@given(wish=WISHES, room=st.integers(0, 40))
def test_never_above_what_fits_nor_what_is_asked_for_and_never_below_the_floor(wish: Wish, room: int) -> None:
    size = fit(wish, fits=lambda each: each <= room)
    assert size == 0 or wish.floor <= size <= min(wish.size, room)
    assert bool(size) == (room >= wish.floor)


@given(
    size=st.integers(2, 20),
    rooms=st.lists(st.integers(0, 25), min_size=2, max_size=2),
    rests=st.lists(st.booleans(), min_size=4, max_size=20),
)
def test_room_that_comes_and_goes_never_changes_a_pool_twice_in_one_rest_unless_it_must(
    size: int, rooms: list[int], rests: list[bool]
) -> None:
    floor, current, grown = floor_of(size, None), 0, 0
    for turn, rested in enumerate(rests):
        room = max(floor, rooms[turn % 2])
        now = fit(Wish(size=size, floor=floor, current=current, rested=rested), fits=room.__ge__)
        grown = 0 if rested else grown
        if current and now > current:
            grown += 1
            assert rested
        if now < current:
            assert current > room, "it shrinks only where it must"
        assert grown <= 1
        current = now


@pytest.mark.parametrize(("room", "expected"), [(16, 12), (17, 17)])
def test_a_good_deal_more_is_a_quarter_of_what_is_asked_for(room: int, expected: int) -> None:
    assert fit(Wish(size=20, floor=10, current=12), fits=lambda size: size <= room) == expected


def test_who_has_no_pool_yet_waits_for_none() -> None:
    assert fit(Wish(size=10, floor=1), fits=lambda size: size <= 2) == 2
