"""Traces as a collector gets them, from real processes."""

from __future__ import annotations

import json
import re
import signal
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from integration.service.collector import Collector
from integration.service.job_kinds import FAILING
from integration.service.programs import Server
from integration.service.test_workers import ended, enqueue
from plimsoll_runtime.exits import Exit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from integration.service.programs import Database, Program, Start, Web

pytestmark = pytest.mark.integration

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = {"traceparent": f"00-{TRACE}-{PARENT}-01"}


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


def request_lines(program: Program) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in program.log.splitlines() if line.startswith("{")]
    return [line for line in lines if line["message"] == "request"]


def test_a_request_is_one_server_span_with_its_statements_below(
    serve: Callable[..., Web], collector: Collector
) -> None:
    web = serve(**collector.env)
    canary = "somebody@example.com"
    answers = [
        web.get("/reports/count", params={"email": canary}, headers=SAMPLED | {"x-request-id": f"call-{number}"})
        for number in range(3)
    ]
    assert [answer.status_code for answer in answers] == [200] * 3
    stored = web.post("/reports", json={"report_id": str(uuid4()), "text": canary})
    web.get("/healthz")
    collector.got(lambda span: span.name == "POST /reports")
    web.program.signal(signal.SIGTERM)
    assert web.program.ended() == Exit.CLEAN

    servers = [span for span in collector.spans if span.kind == "SERVER"]
    assert sorted(span.name for span in servers) == ["GET /reports/count"] * 3 + ["POST /reports"], "one each, not two"
    counts = [span for span in servers if span.name == "GET /reports/count"]
    assert {(span.trace, span.parent, span.service) for span in counts} == {(TRACE, PARENT, "ship")}
    assert {span.attributes["plimsoll.request_id"] for span in counts} == {f"call-{number}" for number in range(3)}
    for server in servers:
        statements = [span for span in collector.spans if span.parent == server.id]
        assert [span.name for span in statements] == ["INSERT" if "POST" in server.name else "SELECT"]
        assert {(span.kind, span.attributes["db.system.name"]) for span in statements} == {("CLIENT", "postgresql")}
    [insert] = [span for span in collector.spans if span.name == "INSERT"]
    assert insert.attributes["db.query.text"].startswith("INSERT INTO report")
    assert canary not in str(collector.spans), "neither a query's value nor a statement's parameter"

    [root] = [span for span in servers if span.name == "POST /reports"]
    assert root.parent == ""
    assert root.trace == stored.headers["x-request-id"], "a trace that begins here has the id that was issued"
    lines = request_lines(web.program)
    assert [line["trace_id"] for line in lines] == [TRACE] * 3 + [root.trace]


def test_what_is_not_sampled_or_not_configured_is_not_sent(serve: Callable[..., Web], collector: Collector) -> None:
    off = serve(**collector.env, OTEL_TRACES_SAMPLER="always_off")
    without = serve()
    for web in (off, without):
        trace = web.get("/reports/count").headers["x-request-id"]
        web.get("/reports/count", headers=SAMPLED)
        web.program.signal(signal.SIGTERM)
        assert web.program.ended() == Exit.CLEAN
        assert [line["trace_id"] for line in request_lines(web.program)] == [trace, TRACE], (
            "the log has it all the same"
        )
    assert collector.spans == []


def test_of_a_sample_each_trace_is_whole_or_not_there(serve: Callable[..., Web], collector: Collector) -> None:
    """What is not in the sample is dropped before FastAPI spends time on it; who is called further on hears of it."""
    half = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.5"}
    web = serve(app="integration.service.calling:app", OTHER=collector.url, **collector.env, **half)
    issued = [web.get("/call/there").headers["x-request-id"] for _ in range(40)]
    web.get("/call/there", headers={"traceparent": f"00-{TRACE}-{PARENT}-00"})
    web.program.signal(signal.SIGTERM)
    assert web.program.ended() == Exit.CLEAN
    *told, dropped_by_the_client = [headers["traceparent"].split("-") for headers in collector.echoed]
    assert len(set(issued)) == 40, issued
    assert [trace for _, trace, _, _ in told] == issued
    sampled = {trace for _, trace, _, flags in told if int(flags, 16) & 1}
    assert 0 < len(sampled) < 40, "and not always, or never, by the form of our ids"
    for kind in ("SERVER", "CLIENT"):
        assert sorted(span.trace for span in collector.spans if span.kind == kind) == sorted(sampled)
    assert (dropped_by_the_client[1], dropped_by_the_client[3]) == (TRACE, "00")


def test_a_job_and_its_post_are_one_trace(
    serve: Callable[..., Web], start: Start, slide: bytes, collector: Collector
) -> None:
    web = serve(**collector.env)
    worker = start("work", "captions.worker:jobs", **collector.env)
    accepted = web.post("/jobs", files={"file": ("slide.png", slide, "image/png")}, headers=SAMPLED)
    step = collector.got(lambda span: span.kind == "CONSUMER", within=60)
    post = collector.got(lambda span: span.kind == "SERVER")
    sent = collector.got(lambda span: span.kind == "PRODUCER")
    assert (post.name, sent.name, step.name) == (
        "POST /jobs",
        "send captions.read_slide",
        "process captions.read_slide ocr",
    )
    assert {post.trace, sent.trace, step.trace} == {TRACE}
    assert (post.parent, sent.parent, step.parent) == (PARENT, post.id, sent.id)
    assert step.attributes["messaging.message.id"] == accepted.json()["job_id"]
    assert (step.attributes["plimsoll.ending"], step.failed) == ("done", False)
    line = worker.saw('{.*"step ended".*}')
    assert json.loads(line[0])["trace_id"] == TRACE

    worker.signal(signal.SIGTERM)
    assert worker.ended() == 0
    below = [span for span in collector.spans if span.parent == step.id]
    assert {span.kind for span in below} == {"CLIENT"}
    assert "UPDATE" not in [span.name for span in below], "the beats are not told"
    assert [span.trace for span in collector.spans if span.trace != TRACE] == [], "nor the polls"


def test_an_attempt_that_fails_is_a_failed_span_each(start: Start, database: Database, collector: Collector) -> None:
    start("work", "integration.service.job_kinds:jobs", **collector.env)
    job = enqueue(database, FAILING, {"how": "again"})
    assert ended(database, job).status == "failed"
    last = collector.got(lambda span: span.attributes.get("plimsoll.attempt") == "2")
    spans = [span for span in collector.spans if span.kind == "CONSUMER"]
    assert [(span.failed, span.attributes["error.type"]) for span in spans] == [(True, "failed")] * 2
    assert "again, please" not in str(spans)
    assert last.parent == "", "nobody traced the one who enqueued it"


@pytest.mark.parametrize("by", [Server.UVICORN, Server.GUNICORN])
@pytest.mark.parametrize("auto", ["false", "true"])
def test_an_adopted_app_is_traced_once_whoever_sets_it_up(
    serve: Callable[..., Web], collector: Collector, by: Server, auto: str
) -> None:
    web = serve(
        app="integration.service.calling:app",
        by=by,
        OTHER=collector.url,
        FASTAPI_OTEL_AUTO_CONFIGURE=auto,
        OTEL_METRICS_EXPORTER="none",
        OTEL_LOGS_EXPORTER="none",
        **collector.env,
    )
    for path in ("there", "missing"):
        web.get(f"/call/{path}", headers=SAMPLED | {"x-request-id": f"call-{path}"})
    web.program.signal(signal.SIGTERM)
    web.program.ended()
    servers = [span for span in collector.spans if span.kind == "SERVER"]
    assert [(span.name, span.trace, span.parent) for span in servers] == [("GET /call/{path}", TRACE, PARENT)] * 2
    clients = {span.attributes["url.full"]: span for span in collector.spans if span.kind == "CLIENT"}
    there, missing = clients[f"{collector.url}/there"], clients[f"{collector.url}/missing"]
    assert (there.attributes["http.response.status_code"], there.failed) == ("200", False)
    assert (missing.attributes["http.response.status_code"], missing.failed) == ("404", True)
    told = [(headers["traceparent"], headers["x-request-id"]) for headers in collector.echoed]
    assert told == [(f"00-{TRACE}-{there.id}-01", "call-there"), (f"00-{TRACE}-{missing.id}-01", "call-missing")]
    assert len({span.id for span in collector.spans}) == len(collector.spans), "none is sent twice"
    assert "secret-canary" not in str(collector.spans) + web.program.log


@pytest.mark.parametrize("silent", [False, True])
def test_what_is_left_is_sent_before_the_end_but_nobody_waits_for_a_dead_collector(
    serve: Callable[..., Web], collector: Collector, *, silent: bool
) -> None:
    collector.silent = silent
    late = {"OTEL_BSP_SCHEDULE_DELAY": "3600000"}  # only the flush sends
    web = serve(**collector.env | late, PLIMSOLL_LIFESPAN_SECONDS="1.5")
    web.get("/reports/count", headers=SAMPLED)
    assert collector.spans == []
    web.program.signal(signal.SIGTERM)
    assert web.program.ended(within=8) == Exit.CLEAN
    assert [span.name for span in collector.spans if span.kind == "SERVER"] == (
        [] if silent else ["GET /reports/count"]
    )
    assert bool(re.search("the collector took no traces in time", web.program.log)) is silent


def test_a_protocol_that_is_not_spoken_is_said_and_the_service_serves(serve: Callable[..., Web]) -> None:
    web = serve(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9", OTEL_EXPORTER_OTLP_PROTOCOL="grpc")
    web.program.saw("no traces: set OTEL_TRACES_EXPORTER=otlp and OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf")
    assert web.get("/reports/count").status_code == 200
