from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from plimsoll.render.guard import priority_class_name, quota_name
from plimsoll.render.names import child
from support.builders import a_service

LABELS = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,60}[a-z0-9])?", fullmatch=True)


@given(service=LABELS, one=LABELS, other=LABELS)
def test_a_childs_name_fits_a_label_and_differs_from_its_siblings(service: str, one: str, other: str) -> None:
    assert len(child(service, one)) <= 63
    assert (child(service, one) == child(service, other)) == (one == other)


def test_short_names_are_readable_and_long_ones_marked() -> None:
    assert child("shop", "web") == "shop-web"
    assert child("s" * 60, "web").startswith("s" * 54 + "-")


def test_a_hyphen_confuses_no_two_workloads_of_the_cluster() -> None:
    one = a_service("b-c", namespace="a", number=1)
    other = a_service("c", namespace="a-b", number=2)
    assert priority_class_name(one, "web") != priority_class_name(other, "web")


def test_a_service_made_anew_under_its_name_gets_a_guard_of_its_own() -> None:
    assert quota_name(a_service(number=1), "web") != quota_name(a_service(number=2), "web")
    assert quota_name(a_service(number=1), "web") == "plimsoll-demo-shop-web-00000001"


@given(namespace=LABELS, name=LABELS)
def test_a_guards_name_is_one_that_the_api_accepts(namespace: str, name: str) -> None:
    assert len(quota_name(a_service(name, namespace=namespace), "jobs-" + "x" * 20)) <= 253
