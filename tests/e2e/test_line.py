"""Never over the line: five services that use every connection they were given, and everything that happens to pods.

One server with 60 connections, two namespaces, 51 of 51 usable connections granted (``support/line_tenants.py``). While
rollouts stack up, autoscalers move, a node is drained and pods are killed, what the server has open is at most what
is claimed, twenty times a second, and the server refuses nobody. The same services without Plimsoll go over it.
`make bench-line` plays the same for longer and writes the figures down.
"""

from __future__ import annotations

import json

import pytest
from support.line_control import Control
from support.line_logs import refusals, refused_by_server
from support.line_play import NEARLY_ALL, Play
from support.line_tenants import USABLE
from support.line_witness import BackendWitness, ClaimWitness
from support.line_world import line_world


@pytest.fixture(scope="module")
def world(kube, images):
    with line_world(kube, "e2e-line", images) as world:
        yield world


@pytest.fixture(scope="module")
def backends(world, kube):
    """From before the first service to after the last."""
    with BackendWitness(kube, world.namespace, world.tenants) as backends:
        yield backends


def test_connections_stay_within_the_claims_whatever_happens_to_the_pods(world, kube, backends):
    with ClaimWitness(kube, world.namespace) as claims:
        play = Play(world, backends, claims)
        for scene in (
            play.opening,
            play.rest,
            play.full_stretch,
            play.stacked,
            play.drained,
            play.killed,
            play.resized,
            play.settled,
        ):
            play.scene(scene)
        figures, worst, refused = play.figures(), play.worst(), refusals(world)
    print(f"\n{json.dumps(figures | {'refused': refused})}\n{worst}\n{json.dumps(play.seconds)}")

    assert claims.total == world.granted == USABLE == world.budget()["status"]["usable"]
    assert figures["samples_per_second"] >= 10
    assert 0 < worst.ratio <= 1, worst
    assert figures["peak_over_granted"] >= NEARLY_ALL
    assert figures["steady_share"] >= 10 / 11 - 0.001
    assert refused == {"server": 0, "pods": 0, "operator": 0}


def test_without_the_guard_and_the_ledger_the_same_services_go_over_it(world, backends):
    world.apply()
    world.settled()
    before = refused_by_server(world)
    control = Control(world, backends)
    control.take_over()
    start = backends.now.at
    control.stacked(enough=world.granted)
    most = max(sample.total for sample in backends.since(start))
    refused = refused_by_server(world) - before
    print(f"\nwithout: {most} open where {world.granted} were granted; {refused} refused with 53300")
    assert most > world.granted, "the load would not see a line that is crossed with Plimsoll either"
