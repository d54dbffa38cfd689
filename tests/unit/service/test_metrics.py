"""What Prometheus is told of requests, and where."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI
from plimsoll_runtime import metrics
from plimsoll_runtime.adopt import adopt
from plimsoll_runtime.contract import wrap
from plimsoll_runtime.drain import Drain
from plimsoll_runtime.settings import ShutdownSettings
from prometheus_client import CollectorRegistry, generate_latest, mmap_dict
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Series = dict[tuple[str, str, str], float]


@pytest.fixture
def app() -> FastAPI:
    app = FastAPI()

    @app.get("/ships/{name}")
    async def ship(name: str) -> str:
        return name

    return app


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(wrap(app, drain=Drain(seconds=0), settings=ShutdownSettings())) as client:
        yield client


def counts(client: TestClient) -> Series:
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.labels["method"], sample.labels["route"], sample.labels["status"]): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.name == "plimsoll_request_seconds_count"
    }


def grown(before: Series, after: Series) -> Series:
    return {name: grown for name, value in after.items() if (grown := value - before.get(name, 0))}


def test_requests_are_counted_by_the_template_of_their_route(client: TestClient) -> None:
    before = counts(client)
    for name in ("argo", "beagle", "bounty"):
        client.get(f"/ships/{name}")
    client.post("/ships/argo")
    for number in range(20):
        client.get(f"/attack/{number}")
    for method in ("GETT", "WHATEVER"):
        client.request(method, "/ships/argo")
    assert grown(before, counts(client)) == {
        ("GET", "/ships/{name}", "200"): 3,
        ("POST", "/ships/{name}", "405"): 1,
        ("GET", "unmatched", "404"): 20,
        ("_OTHER", "/ships/{name}", "405"): 2,
    }, "and a client cannot make up series"


def test_probes_and_scrapes_are_not_counted(client: TestClient) -> None:
    before = counts(client)
    for path in ("/healthz", "/readyz", "/metrics"):
        assert client.get(path).status_code == 200
    assert grown(before, counts(client)) == {}


def test_elsewhere_means_not_here(app: FastAPI) -> None:
    contract = wrap(app, drain=Drain(seconds=0), settings=ShutdownSettings(), tell_metrics=False)
    assert TestClient(contract).get("/metrics").status_code == 404


def test_a_process_that_has_only_begun_its_file_spoils_nobodys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole: Any = mmap_dict.MmapedDict(str(tmp_path / "counter_1.db"))  # type: ignore[no-untyped-call] # the library
    whole.write_value(mmap_dict.mmap_key("ships", "ships_total", [], [], "Ships."), 7.0, 0.0)
    whole.close()
    (tmp_path / "counter_2.db").touch()
    monkeypatch.setenv(metrics.FOLDER, str(tmp_path))
    assert b"ships_total 7.0" in metrics.exposition()
    library = CollectorRegistry()
    MultiProcessCollector(library)  # type: ignore[no-untyped-call] # likewise
    with pytest.raises(struct.error):  # the negative control; once it no longer fails, ours may go
        generate_latest(library)


@pytest.mark.parametrize(("request_log", "told"), [(True, True), (False, False)])
def test_an_adopted_app_keeps_its_own_path_unless_it_asks(app: FastAPI, *, request_log: bool, told: bool) -> None:
    @app.get("/metrics")
    async def own() -> str:
        return "the app's own"

    adopt(app, request_log=request_log)
    client = TestClient(app)
    assert ("plimsoll_request_seconds" in client.get("/metrics").text) is told
    assert ("x-request-id" in client.get("/ships/argo").headers) is told
