"""Rollouts are silent: nothing fails and nothing is lost while pods come and go; without a part of it something does.

The load hides nothing (``support/loadgen``): POSTs with unique ids over fresh and kept-alive connections, straight and
through a proxy, answers longer than the drain, uploads that stall, streams, WebSockets, and jobs. The connections of
all pods, leaving ones included, stay within the claim at every instant, by the pods that exist and by the server.
"""

from __future__ import annotations

import itertools
import json

import pytest
from support.load import load
from support.rolling_controls import NO_DRAIN, PRE_STOP_ALONE, ShortGrace
from support.rolling_figures import figures, seconds
from support.rolling_play import Play
from support.rolling_world import GUNICORN, LONG_SECONDS, UVICORN, outcome, rolling
from support.witness import ConnectionWitness, PodWitness

RATE = 60  # a third of a core for web pods, database, proxy and generator, so that rollouts have room
MIXED = (
    f"--rate={RATE}",
    "--slow-every=30",
    "--stall-every=30",
    "--job-every=600",
    "--streams=2",
    "--websockets=2",
    f"--long-seconds={LONG_SECONDS}",
)

STANDING = {"stream", "websocket handshake", "websocket message"}
"""Clients that are still at it when the load ends."""


@pytest.fixture(scope="module")
def world(kube, images):
    with rolling(kube, "e2e-rollout", images) as world:
        yield world


def test_nothing_fails_and_nothing_is_lost_whatever_is_rolled_out_and_connections_stay_within_the_claim(world, kube):
    stage = world.stage
    claims = [stage.claim()]
    with (
        PodWitness(kube, stage.namespace) as pods,
        ConnectionWitness(kube, stage.namespace) as backends,
        load(stage, *MIXED, targets=world.targets, node=world.home) as running,
    ):
        play = Play(world, running, told=lambda scene: claims.append(stage.claim()))
        play.steady(20)
        play.rollouts(2)
        play.everything_else()
        running.stop()
        report = outcome(world, running, within=120)
        told = seconds(running.lines())
    for scene in play.scenes:
        print(f"{scene.what}: {scene.end - scene.start:.0f} s")
    print(json.dumps(figures(report, told, play.scenes)), json.dumps(report["requests"]))
    print(f"connections: {backends.most()} of {max(claims)} claimed; pods: {pods.most('web')}")

    silent(report)
    kinds = {"direct fresh", "direct kept alive", "proxy fresh", "proxy kept alive"}
    kinds |= {"slow", "stalled", "job", "stream", "websocket handshake", "websocket message"}
    assert {kind for kind, tally in report["requests"].items() if tally["acknowledged"]} == kinds
    handshakes = report["requests"]["websocket handshake"]["acknowledged"]
    assert handshakes > 4, "WebSockets were closed with 1012, and came again"

    for scene, claimed in zip(play.scenes, itertools.pairwise(claims), strict=True):
        then = {"since": scene.start, "until": scene.end}
        assert 0 < backends.most(**then) <= max(claimed), scene
        assert 0 < pods.most_connections(**then) <= max(claimed), scene


def silent(report) -> None:
    """Nothing failed, every request was answered, and what the database holds is exactly what was acknowledged."""
    assert report["failed"] == {}, (report["failures"], report["proxy"])
    unanswered = {
        kind: tally["sent"] - tally["acknowledged"]
        for kind, tally in report["requests"].items()
        if kind not in STANDING and tally["sent"] != tally["acknowledged"]
    }
    assert unanswered == {}
    assert (report["stored"], report["same_ids"]) == (report["to_be_stored"], True)
    assert (report["jobs_lost"], report["jobs_doubled"]) == (0, 0)


@pytest.mark.parametrize("command", [UVICORN, GUNICORN], ids=["uvicorn with processes", "gunicorn"])
def test_other_servers_whose_app_adopts_the_contract_are_as_silent(world, command):
    world.serve(command=command, workers=2)
    with load(world.stage, *MIXED, targets=world.targets, node=world.home) as running:
        world.roll()
        world.roll()
        running.stop()
        report = outcome(world, running, within=120)
    print(json.dumps(report["requests"]))
    silent(report)


@pytest.mark.parametrize("shutdown", [NO_DRAIN, PRE_STOP_ALONE], ids=["no drain", "preStop sleep alone"])
def test_without_the_drain_the_same_load_sees_connections_cut(world, shutdown):
    world.serve(shutdown=shutdown)
    assert cut(world), "no connection was cut: the load would not see a failure with the drain either"


def test_with_a_grace_period_shorter_than_its_requests_the_same_load_sees_them_cut(world):
    world.serve()
    assert cut(ShortGrace.beside(world)), "no connection was cut by SIGKILL"


def cut(world) -> int:
    """How many connections were cut under the load, until the first, or through so many rollouts."""
    with load(world.stage, *MIXED, "--stop-when-cut", targets=world.targets, node=world.home) as running:
        for _ in range(5):
            world.roll()
            if not running.under_way():
                break
        else:
            running.stop()
        report = running.report(within=120)
    print(json.dumps(report["failed"]), json.dumps(report["failures"][:3]))
    return report["cut"]
