"""The shell's part of a rotation: what is read, what is not, and that a missing right stops nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plimsoll.errors import Forbidden
from support.operated import refusing, secret

if TYPE_CHECKING:
    from support.operated import Operated

SETTINGS = {"envFrom": [{"configMapRef": {"name": "settings"}}]}


def running(operated: Operated) -> str:
    template = operated.cluster.read("Deployment", "demo", "shop-web")["spec"]["template"]
    return str(template["metadata"]["annotations"].get("plimsoll.dev/config", ""))


def test_a_secret_that_changes_replaces_the_pods(operated: Operated) -> None:
    operated.budget()
    operated.service()
    operated.settle()
    before = running(operated)
    assert before.startswith("Secret/shop-db=")
    live = operated.cluster.read("Secret", "demo", "shop-db")
    operated.cluster.put({**live, "data": secret(password="other")["data"]})
    operated.settle()
    assert running(operated) != before
    assert operated.condition()["status"] == "True"


def test_without_the_right_everything_else_goes_on_and_one_event_tells(operated: Operated) -> None:
    operated.budget()
    operated.service(**SETTINGS)
    with refusing(operated.cluster, "get ConfigMap", Forbidden("403")):
        operated.settle()
        operated.look()
    assert operated.condition()["status"] == "True"
    assert operated.condition(type_="ConfigTracked")["reason"] == "NotGranted"
    assert [each["reason"] for each in operated.cluster.told].count("NotGranted") == 1


def test_what_comes_later_is_seen_later(operated: Operated) -> None:
    operated.budget()
    operated.service(**SETTINGS)
    operated.settle()
    assert operated.condition(type_="ConfigTracked")["reason"] == "NotFound"
    operated.cluster.put({"kind": "ConfigMap", "metadata": {"namespace": "demo", "name": "settings"}, "data": {}})
    operated.settle()
    assert operated.condition(type_="ConfigTracked")["reason"] == "Tracked"
    assert "ConfigMap/settings=" in running(operated)
