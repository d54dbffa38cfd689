"""How close to the line, and never over it: the scenes of ``tests/e2e/test_line.py``, played longer, as figures.

peak_over_claim_max   the largest ratio of open to claimed connections, of a service or of all together; at most 1
peak_over_granted     all five at replicas + surge at once, every pool full: open ÷ granted; at least 0.9
steady_share          open ÷ granted of a service of 10 replicas and a surge of 1 at rest; at least 0.9
sqlstate_53300        connections that the server refused for want of slots, by any log; none
without_…             the same services as plain Deployments, without guard and ledger

PYTHONPATH=tests python -m bench.line [ROUNDS]    on the cluster of $KUBECONFIG, with the operator in it
"""

from __future__ import annotations

import os
import sys
from typing import Any

from bench.record import write
from support.kube import Kube
from support.line_control import Control
from support.line_logs import refusals, refused_by_server
from support.line_play import Play
from support.line_witness import BackendWitness, ClaimWitness
from support.line_world import World, line_world
from support.stage import Images

ROUNDS = 2


def with_plimsoll(world: World, backends: BackendWitness, rounds: int) -> dict[str, Any]:
    """All scenes, those that roll out and kill several times."""
    with ClaimWitness(world.kube, world.namespace) as claims:
        play = Play(world, backends, claims)
        play.scene(play.opening)
        play.scene(play.rest)
        for _ in range(rounds):
            for scene in (play.full_stretch, play.stacked, play.drained, play.killed, play.resized, play.settled):
                play.scene(scene)
        play.scene(play.opening)
        play.scene(play.rest)
        refused = refusals(world)
    return {**play.figures(), "sqlstate_53300": sum(refused.values()), "scenes_s": play.seconds}


def without(world: World, backends: BackendWitness) -> dict[str, Any]:
    """The negative control, to the end of its rollouts."""
    before = refused_by_server(world)
    control = Control(world, backends)
    control.take_over()
    start = backends.now.at
    control.stacked(enough=world.granted * 2)
    most = max(sample.total for sample in backends.since(start))
    return {
        "without_peak_over_granted": round(most / world.granted, 3),
        "without_sqlstate_53300": refused_by_server(world) - before,
    }


def main(rounds: int) -> None:
    """Plays both and writes the figures."""
    kube = Kube()
    with (
        line_world(kube, "bench-line", Images.of_environment()) as world,
        BackendWitness(kube, world.namespace, world.tenants) as backends,
    ):
        figures = with_plimsoll(world, backends, rounds) | without(world, backends)
    write("line", command="make bench-line", figures=figures)


if __name__ == "__main__":
    if "PLIMSOLL_TEST_IMAGE" not in os.environ:
        sys.exit("run `make bench-line`: it makes the cluster and the images that this needs")
    main(int((sys.argv[1:] or [str(ROUNDS)])[0]))
