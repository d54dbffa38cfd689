from __future__ import annotations

import pytest
from plimsoll.budget.ledger import Claim, Grant, Ledger, Want
from plimsoll.units import Connections


def claim(uid: str, connections: int) -> Claim:
    return Claim(namespace="demo", name=f"s-{uid}", uid=uid, connections=Connections(connections))


def ledger(usable: int | None, **claims: int) -> Ledger:
    return Ledger(
        capacity=None if usable is None else Connections(usable),
        margin=Connections(0),
        claims=tuple(claim(uid, connections) for uid, connections in claims.items()),
    )


def grant(book: Ledger, *, wanted: int, standing: int = 0) -> Grant:
    stands = Connections(standing)
    return book.grant(Want(uid="a", connections=Connections(wanted), standing=stands, keep=stands))


def granted(admitted: bool, hold: int, free: int) -> Grant:
    return Grant(admitted=admitted, hold=Connections(hold), free=Connections(free))


@pytest.mark.parametrize(
    ("book", "wanted", "standing", "expected"),
    [
        pytest.param(ledger(91), 30, 0, granted(True, 30, 91), id="the first claim takes what it wants"),
        pytest.param(ledger(91, b=61), 30, 0, granted(True, 30, 30), id="up to the last connection"),
        pytest.param(ledger(91, b=62), 30, 0, granted(False, 0, 29), id="but not one more"),
        pytest.param(ledger(91, a=15), 30, 15, granted(True, 30, 91), id="growth counts one's own claim as room"),
        pytest.param(ledger(91, a=15, b=70), 30, 15, granted(False, 15, 21), id="growth refused holds what stands"),
        pytest.param(ledger(91, a=30), 15, 15, granted(True, 15, 91), id="what is no longer needed is given back"),
        pytest.param(ledger(91, a=30), 25, 20, granted(True, 25, 91), id="on the way down the way counts"),
        pytest.param(
            ledger(91, a=30, b=61), 95, 20, granted(False, 20, 30), id="refused, with less standing than held"
        ),
        pytest.param(ledger(91), 20, 20, granted(True, 20, 91), id="a lost claim is found again in what stands"),
        pytest.param(ledger(91, b=90), 20, 20, granted(True, 20, 1), id="even where there is no room for it"),
        pytest.param(ledger(91, b=90), 21, 20, granted(False, 20, 1), id="but it may not grow on that occasion"),
        pytest.param(ledger(None), 10, 0, granted(False, 0, 0), id="nothing grows while the capacity is unknown"),
        pytest.param(ledger(None, a=30), 30, 30, granted(True, 30, 0), id="what is held then stays"),
        pytest.param(ledger(None, a=30), 10, 10, granted(True, 10, 0), id="and may shrink"),
        pytest.param(ledger(20, a=30), 30, 30, granted(True, 30, 20), id="a server that shrank takes nothing away"),
        pytest.param(ledger(20, a=30), 31, 30, granted(False, 30, 20), id="but lets nothing grow"),
        pytest.param(ledger(20, a=30, b=10), 25, 25, granted(True, 25, 10), id="and shrinking needs no room"),
        pytest.param(
            ledger(20, a=30, b=10), 25, 10, granted(False, 10, 10), id="nor is a claim alone room to grow into"
        ),
    ],
)
def test_growth_needs_room_and_what_stands_is_never_taken_away(
    book: Ledger, wanted: int, standing: int, expected: Grant
) -> None:
    assert grant(book, wanted=wanted, standing=standing) == expected


def test_free_is_what_no_claim_has_and_never_a_debt() -> None:
    assert ledger(91, a=30, b=31).free == Connections(30)
    assert ledger(50, a=30, b=31).free == Connections(0)
    assert ledger(None, a=30).free == Connections(0)
    assert ledger(50, a=30, b=31).claimed == Connections(61)


def test_a_claim_replaces_the_one_of_the_same_object_and_no_other() -> None:
    book = ledger(91, a=30, b=10).with_claim(claim("a", 20))
    assert (book.held_by("a"), book.held_by("b")) == (Connections(20), Connections(10))


def test_a_claim_of_nothing_is_no_claim() -> None:
    assert ledger(91, a=30).with_claim(claim("a", 0)).claims == ()


def test_claims_are_in_one_order_however_they_came() -> None:
    one = ledger(91).with_claim(claim("a", 1)).with_claim(claim("b", 2))
    other = ledger(91).with_claim(claim("b", 2)).with_claim(claim("a", 1))
    assert one == other


def test_a_service_of_the_same_name_is_another_one_by_its_uid() -> None:
    old = Claim(namespace="demo", name="s", uid="old", connections=Connections(10))
    book = Ledger(capacity=Connections(91), claims=(old,))
    assert book.held_by("new") == Connections(0)
    assert book.with_claim(Claim(namespace="demo", name="s", uid="new", connections=Connections(5))).claimed == (
        Connections(15)
    )


# ---- the margin


def dear(uid: str, connections: int, per_pod: int) -> Claim:
    return Claim(
        namespace="demo", name=uid, uid=uid, connections=Connections(connections), per_pod=Connections(per_pod)
    )


def room(book: Ledger, *, per_pod: int) -> int:
    return book.room_for(Want(uid="a", connections=Connections(1), per_pod=Connections(per_pod))).count


def test_without_a_margin_of_its_own_the_dearest_pod_is_kept_back_whosever_it_is() -> None:
    book = Ledger(capacity=Connections(100), claims=(dear("b", 30, 10), dear("c", 8, 4)))
    assert (book.kept_back, book.usable, book.free) == (Connections(10), Connections(90), Connections(52))
    assert (room(book, per_pod=3), room(book, per_pod=12)) == (52, 50)


def test_ones_own_dearest_pod_of_before_no_longer_counts_when_it_is_to_go() -> None:
    book = Ledger(capacity=Connections(100), claims=(dear("a", 40, 20), dear("b", 30, 10)))
    assert (book.kept_back.count, room(book, per_pod=5)) == (20, 60)


def test_a_margin_of_the_budgets_own_is_just_that() -> None:
    book = Ledger(capacity=Connections(100), margin=Connections(7), claims=(dear("b", 30, 10),))
    assert (book.kept_back.count, room(book, per_pod=50)) == (7, 63)


def test_claims_in_other_budgets_of_the_same_server_take_room_and_widen_the_margin() -> None:
    book = Ledger(
        capacity=Connections(100),
        claims=(dear("b", 30, 10),),
        elsewhere=Connections(20),
        pods_elsewhere={"b": Connections(5), "z": Connections(9)},
    )
    assert (book.free.count, book.claimed.count, room(book, per_pod=1)) == (35, 30, 35)


# ---- refusal


@pytest.mark.parametrize(
    ("held", "standing", "keep", "expected"), [(16, 15, 16, 16), (16, 15, 15, 15), (15, 15, 16, 15), (0, 15, 16, 15)]
)
def test_who_is_refused_keeps_what_the_last_good_state_needs_and_no_more(
    held: int, standing: int, keep: int, expected: int
) -> None:
    book = ledger(20, a=held, b=4) if held else ledger(20, b=4)
    want = Want(uid="a", connections=Connections(17), standing=Connections(standing), keep=Connections(keep))
    grant = book.grant(want)
    assert (grant.admitted, grant.hold.count) == (False, expected)


@pytest.mark.parametrize("uid", ["0", "b", "z"])
def test_everybody_else_counts_whatever_order_their_uids_are_in(uid: str) -> None:
    book = Ledger(capacity=Connections(100), claims=(dear(uid, 7, 7), dear("m", 30, 10)))
    assert book.room_for(Want(uid="m", connections=Connections(1), per_pod=Connections(3))).count == 100 - 7 - 7
    assert book.room_for(Want(uid=uid, connections=Connections(1), per_pod=Connections(3))).count == 100 - 10 - 30
