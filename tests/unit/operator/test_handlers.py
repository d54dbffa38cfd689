from __future__ import annotations

from typing import Any

import kopf
import pytest
from plimsoll_operator.handlers import build_registry, build_settings
from plimsoll_operator.queue import Key, Kind
from support.virtual_loop import run


class Inbox:
    """In the place of the queue."""

    def __init__(self) -> None:
        self.keys: list[Key] = []

    def add(self, key: Key) -> None:
        self.keys.append(key)


class Handlers:
    """The registered handlers, called as kopf calls them."""

    def __init__(self, problem: str | None = None) -> None:
        self.inbox = Inbox()
        registry = build_registry(queue=self.inbox, healthy=lambda: problem)  # type: ignore[arg-type]  # an inbox will do
        self.watching: dict[str, Any] = {str(handler.id): handler for handler in registry._watching._handlers}
        self.probes: list[Any] = list(registry._activities._handlers)

    def event(self, id_: str, event: str | None = "MODIFIED", **metadata: Any) -> int:
        """Sends one event; how many keys came in."""
        before = len(self.inbox.keys)
        meta = {"namespace": "demo", "name": "shop"} | metadata
        run(lambda _: self.watching[id_].fn(meta=meta, type=event, body={}))
        return len(self.inbox.keys) - before


@pytest.fixture
def handlers() -> Handlers:
    return Handlers()


@pytest.mark.parametrize(("id_", "kind"), [("wake-service", Kind.SERVICE), ("wake-budget", Kind.BUDGET)])
def test_an_edit_wakes_and_a_write_of_the_status_does_not(handlers: Handlers, id_: str, kind: Kind) -> None:
    assert handlers.event(id_, "ADDED", generation=1) == 1
    assert handlers.event(id_, generation=1) == 0
    assert handlers.event(id_, generation=1) == 0
    assert handlers.event(id_, generation=2) == 1
    assert set(handlers.inbox.keys) == {Key(kind, "demo", "shop")}


def test_the_first_list_and_every_list_after_a_broken_watch_wake(handlers: Handlers) -> None:
    assert handlers.event("wake-service", None, generation=1) == 1
    assert handlers.event("wake-service", None, generation=1) == 1


def test_going_wakes_whatever_the_generation(handlers: Handlers) -> None:
    handlers.event("wake-service", "ADDED", generation=1)
    assert handlers.event("wake-service", generation=1, deletionTimestamp="2026-01-01T00:00:00Z") == 1
    assert handlers.event("wake-service", "DELETED", generation=1) == 1


def test_an_object_made_anew_is_not_taken_for_the_one_before(handlers: Handlers) -> None:
    handlers.event("wake-service", "ADDED", generation=1)
    handlers.event("wake-service", "DELETED", generation=1)
    assert handlers.event("wake-service", "ADDED", generation=1) == 1


def test_objects_of_other_names_are_told_apart(handlers: Handlers) -> None:
    handlers.event("wake-service", "ADDED", generation=1)
    assert handlers.event("wake-service", "ADDED", generation=1, name="other") == 1
    assert handlers.event("wake-service", "ADDED", generation=1, namespace="elsewhere") == 1


@pytest.mark.parametrize("plural", ["deployments", "jobs", "resourcequotas", "services"])
def test_whatever_happens_to_a_child_wakes_its_service(handlers: Handlers, plural: str) -> None:
    labels = {"plimsoll.dev/service": "shop", "app.kubernetes.io/managed-by": "plimsoll"}
    assert handlers.event(f"wake-owner-of-{plural}", name="child-of-shop", labels=labels) == 1
    assert handlers.event(f"wake-owner-of-{plural}", "DELETED", name="child-of-shop", labels=labels) == 1
    assert handlers.event(f"wake-owner-of-{plural}", name="stranger", labels={}) == 0
    assert handlers.event(f"wake-owner-of-{plural}", name="bare") == 0
    assert set(handlers.inbox.keys) == {Key(Kind.SERVICE, "demo", "shop")}


def test_the_probe_fails_with_the_problem_and_is_not_retried_within_the_request() -> None:
    probe = next(each for each in Handlers("a key has waited for 301 s").probes if each.id == "queue")
    assert probe.errors is kopf.ErrorsMode.PERMANENT
    with pytest.raises(kopf.PermanentError, match="a key has waited for 301 s"):
        run(lambda _: probe.fn())


def test_the_probe_succeeds_while_there_is_no_problem() -> None:
    probe = next(each for each in Handlers().probes if each.id == "queue")
    assert run(lambda _: probe.fn()) == "moving"


def test_kopf_only_watches_and_waits_for_an_api_server_without_end() -> None:
    settings = build_settings()
    assert (settings.scanning.disabled, settings.peering.standalone, settings.posting.enabled) == (True, True, False)
    backoffs = iter(settings.networking.error_backoffs)  # type: ignore[arg-type]
    assert [next(backoffs) for _ in range(8)] == [1, 2, 4, 8, 16, 30, 30, 30]
    assert next(iter(settings.networking.error_backoffs)) == 1  # type: ignore[arg-type]  # each wait begins anew
