"""Rollouts are silent: no POST fails while images change, and the same load does find failures without the drain.

The connections of all pods, leaving ones included, stay within the claim at every instant of it, by the pods that
exist and by what the server itself counts.
"""

from __future__ import annotations

import json

import pytest
from support.load import load
from support.stage import staged
from support.witness import ConnectionWitness, PodWitness

COUNT, RATE = 10_050, 75  # a third of a core for web pods, database and generator, so that rollouts have room
NEEDED_SECONDS = COUNT / RATE


@pytest.fixture(scope="module")
def stage(kube, images):
    with staged(kube, "e2e-rollout", images) as stage:
        yield stage


def roll_out(stage, image: str) -> None:
    """Changes the image and waits for the last of the new pods."""
    stage.edit({"image": image})
    stage.ready(every=1)


def test_no_post_fails_while_images_roll_out_and_the_connections_stay_within_the_claim(
    stage, kube, images, other_image
):
    claim = stage.claim()
    rollouts = 0
    with (
        PodWitness(kube, stage.namespace) as pods,
        ConnectionWitness(kube, stage.namespace) as backends,
        load(stage, f"--count={COUNT}", f"--rate={RATE}") as running,
    ):
        for image in (other_image, images.captions, other_image, images.captions):
            if rollouts and not running.under_way():
                break
            roll_out(stage, image)
            rollouts += running.under_way()
        report = running.report(within=NEEDED_SECONDS + 120)
    print(f"\n{rollouts} rollouts, {json.dumps(report)}")
    print(
        f"connections: {backends.most()} of {claim} claimed; pods: {pods.most('web')} web, {pods.most('jobs-ocr')} jobs"
    )

    assert rollouts >= 1, "no rollout ended while the load ran"
    assert len(pods.names("web")) >= 2 + 2 * rollouts, "the web pods were not replaced"
    overload = "" if report["cut"] else "no connection was cut: this machine was too busy"
    assert report["failed"] == {}, f"{overload} {report['failures']}"
    assert report["sent"] == report["acknowledged"] == report["stored"] == COUNT
    assert report["fresh"]["sent"] >= COUNT / 4 <= report["kept_alive"]["sent"]

    assert pods.most("web") <= 2 + 1
    assert pods.most("jobs-ocr") <= 1 + 1
    assert pods.most_connections() <= claim == stage.claim()
    assert 0 < backends.most() <= claim
    each = {name: pod.connections for _, seen in pods.moments for name, pod in seen.items()}
    assert not {name: most for name, most in backends.most_by_name().items() if most > each[name]}


def test_without_the_drain_the_same_load_sees_failures(stage, images, other_image):
    stage.edit({"shutdown": {"drainSeconds": 0}})
    stage.ready()
    with load(stage, f"--count={COUNT}", f"--rate={RATE}", "--stop-when-cut") as running:
        for image in (other_image, images.captions, other_image):
            if not running.under_way():
                break
            roll_out(stage, image)
        report = running.report(within=NEEDED_SECONDS + 120)
    print(f"\n{json.dumps(report)}")
    assert report["cut"], "no connection was cut without the drain: the load would not see a failure with it either"
