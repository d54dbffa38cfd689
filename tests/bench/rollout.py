"""Silent rollouts, the long form: a million requests while pods are rolled over, scaled, drained, rotated and migrated.

requests, rollouts     how many there were
failed                 requests without their whole and right answer, whatever the reason; none
lost, doubled          stored against acknowledged, and jobs done against jobs accepted; none
p99_ratio              99th percentile of the short POSTs in rollouts ÷ in steady times of the same run; at most 1.5
p99_neighbour_ms       the same percentile while a service beside it is rolled over that gets none of the load: on a
                       machine that is all the nodes at once a starting pod takes its time from everybody
longest_gap_s          longest time between two answers
no_drain_…, pre_stop_alone_…, short_grace_…    the same without a part of it

PYTHONPATH=tests python -m bench.rollout [REQUESTS [RATE]]    on the cluster of $KUBECONFIG, with the operator in it
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

from bench.record import FOLDER, write
from support.kube import Kube
from support.load import load
from support.node_weights import serving_first
from support.rolling_controls import NO_DRAIN, PRE_STOP_ALONE, Neighbour, ShortGrace
from support.rolling_figures import figures, p99, seconds
from support.rolling_play import Play
from support.rolling_world import GENTLE, LONG_SECONDS, Rolling, outcome, rolling
from support.stage import Images

if TYPE_CHECKING:
    from support.rolling_figures import Scene, Second

REQUESTS, RATE = 1_000_000, 240.0
ROLLOUTS, STEADY_SECONDS = 20, 120.0
CONTROL_ROLLOUTS = 2
MOST_P99_RATIO = 1.5
PLOT = FOLDER / "rollout.svg"


def mixed(rate: float) -> tuple[str, ...]:
    """Options of the load: mostly the least that stores something, and some of all the rest."""
    often = int(rate / 2)
    return (
        "--path=/notes",
        f"--rate={rate}",
        f"--slow-every={often}",
        f"--stall-every={often}",
        f"--job-every={int(rate) * 10}",
        "--streams=2",
        "--websockets=2",
        f"--long-seconds={LONG_SECONDS}",
    )


def silent(world: Rolling, *, requests: int, rate: float) -> tuple[dict[str, float], list[Scene], list[Second]]:
    """All that can be done to a service, again and again until the load ends."""
    options = (*mixed(rate), f"--count={requests}")
    neighbour = Neighbour.beside(world)
    with load(world.stage, *options, targets=world.targets, node=world.home) as running:
        play = Play(world, running, told=tell)
        play.steady(STEADY_SECONDS)
        play.rollouts(ROLLOUTS)
        play.steady(STEADY_SECONDS)
        play.rollouts_beside(neighbour, ROLLOUTS)
        play.steady(STEADY_SECONDS)
        play.everything_else()
        while running.under_way():
            play.steady(STEADY_SECONDS)
            play.rollouts(2)
            play.steady(STEADY_SECONDS)
            play.rollouts_beside(neighbour, 2)
        report = outcome(world, running, within=300)
        told = seconds(running.lines())
    print(json.dumps(report), flush=True)
    return figures(report, told, play.scenes), play.scenes, told


def control(world: Rolling, *, rate: float) -> dict[str, float]:
    """A few rollouts without a part of what makes them silent."""
    with load(world.stage, *mixed(rate), targets=world.targets, node=world.home) as running:
        play = Play(world, running, told=tell)
        play.steady(20)
        play.rollouts(CONTROL_ROLLOUTS)
        running.stop()
        report = outcome(world, running, within=300)
        return figures(report, seconds(running.lines()), play.scenes)


def controls(world: Rolling, *, rate: float) -> dict[str, float]:
    """All negative controls, each figure with the control's name before it."""
    found: dict[str, float] = {}
    for name, shutdown in (("no_drain", NO_DRAIN), ("pre_stop_alone", PRE_STOP_ALONE)):
        world.serve(shutdown=shutdown)
        found |= {f"{name}_{figure}": value for figure, value in control(world, rate=rate).items()}
    world.serve()
    short = control(ShortGrace.beside(world), rate=rate)
    return found | {f"short_grace_{figure}": value for figure, value in short.items()}


def missed_goals(found: dict[str, float]) -> list[tuple[str, str]]:
    """Which figures are not what they are to be, and what that is."""
    goals = {name: ("0", found[name] == 0) for name in ("failed", "lost", "doubled")}
    goals["p99_ratio"] = ("at most 1.5", found["p99_ratio"] <= MOST_P99_RATIO)
    for name in ("no_drain_failed", "pre_stop_alone_failed", "short_grace_failed"):
        goals[name] = ("more than 0: a control that finds nothing", found[name] > 0)
    return [(name, goal) for name, (goal, is_met) in goals.items() if not is_met]


def tell(scene: Scene) -> None:
    """Progress, for who waits an hour."""
    print(f"{scene.what}: {scene.end - scene.start:.0f} s", flush=True)


def plot(scenes: list[Scene], told: list[Second]) -> None:
    """Answers per second and their 99th percentile in each ten seconds, with the scenes behind them."""
    import matplotlib as mpl  # noqa: PLC0415 - only a bench draws

    mpl.use("svg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - likewise

    start = told[0].at - 1
    tens = [told[place : place + 10] for place in range(0, len(told) - 9, 10)]
    minutes = [(ten[-1].at - start) / 60 for ten in tens]
    figure, (above, below) = plt.subplots(2, 1, sharex=True, figsize=(12, 6), layout="constrained")
    colours = {"steady": "none", "rollout": "#c6dbef", "neighbour's rollout": "#c7e9c0"}
    for axes in (above, below):
        for scene in scenes:
            left, right = ((at - start) / 60 for at in (scene.start, scene.end))
            axes.axvspan(left, right, color=colours.get(scene.what, "#fdd0a2"), linewidth=0)
    above.plot(minutes, [sum(second.latencies.total() for second in ten) / len(ten) for ten in tens], color="black")
    above.set(ylabel="answers per second", ylim=(0, None))
    below.plot(minutes, [p99(ten) for ten in tens], color="black")
    below.set(ylabel="p99 of short POSTs [ms]", xlabel="minutes", ylim=(0, None))
    figure.suptitle("Rollouts (blue), a neighbour's (green), scaling, drain, rotation, migration (orange) under load")
    figure.savefig(PLOT, metadata={"Date": None})


def main(requests: int, rate: float) -> None:
    """The long form and its controls."""
    kube = Kube()
    nodes = [node["metadata"]["name"] for node in kube.list("nodes")]
    images = Images.of_environment()
    with serving_first(nodes), rolling(kube, "bench-rollout", images, pace=GENTLE) as world:
        found, scenes, told = silent(world, requests=requests, rate=rate)
        plot(scenes, told)
        found |= controls(world, rate=rate / 2)
    write("rollout", command="make bench-rollout", figures=found | {"rate": rate})
    if missed := [f"{name} is {found[name]}, and is to be {goal}" for name, goal in missed_goals(found)]:
        sys.exit("; ".join(missed))


if __name__ == "__main__":
    if "PLIMSOLL_TEST_IMAGE" not in os.environ:
        sys.exit("run `make bench-rollout`: it makes the cluster and the images that this needs")
    given = sys.argv[1:]
    main(int(given[0]) if given else REQUESTS, float(given[1]) if given[1:] else RATE)
