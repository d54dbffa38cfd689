"""What is done to the five services while they are watched. A scene does not wait for the one before to come to rest.

    play = Play(world, backends, claims)
    play.opening()      all five are applied, the autoscaled one is busy until it is at its maximum
    play.rest()         nothing happens: the share of what is granted that serving pods hold
    play.full_stretch() all five roll out at once and stand still at replicas + surge
    play.stacked()      rollouts on top of rollouts
    play.drained()      a node is cordoned, its pods are evicted
    play.killed()       pods deleted, containers killed
    play.resized()      replicas down and up, and the autoscaler to its minimum
    play.settled()      all five Ready, no pod terminates

Every pod holds all its connections all the time, so whatever the order of things is in there, the server sees it.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from support.kube import KubectlError
from support.line_figures import Worst, hertz, peak_over_claim, peak_over_granted

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.kube import Manifest
    from support.line_figures import Moment
    from support.line_witness import BackendWitness, ClaimWitness
    from support.line_world import World

NEARLY_ALL = 0.9
BUSY_PERCENT = 10
"""Of a core, in every pod of the autoscaled service: twice of what its autoscaler allows for."""

REST_SAMPLES = 100


@dataclass
class Play:
    """The scenes, and what was seen in two of them."""

    world: World
    backends: BackendWitness
    claims: ClaimWitness
    resting: list[Moment] = field(default_factory=list)
    stretched: list[Moment] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def opening(self) -> None:
        """From nothing to all five at rest, the autoscaler at its maximum."""
        self.world.switch(burn=BUSY_PERCENT)
        self.world.apply()
        self.world.scaled_out()
        self.world.settled()

    def rest(self) -> None:
        """Samples of a while in which every pod that exists is ready."""
        expected = self.world.at_rest
        self.world.told("every pool is full", lambda: self.backends.now.total == expected)
        start = time.time()
        self.world.told("it was watched", lambda: len(self.backends.since(start)) >= REST_SAMPLES)
        self.resting += self.backends.since(start)

    def full_stretch(self) -> None:
        """New pods do not become ready, old workers do not stop: all are at replicas + surge, with every pool full."""
        self.world.switch(burn=BUSY_PERCENT)
        self.world.scaled_out()
        start = time.time()
        self.world.switch(hold="true", linger="true")
        try:
            self.world.roll_all()
            self.world.told(
                "all five roll out at once and nearly all that is granted is in use",
                lambda: self.world.rolling and self.is_nearly_all_in_use(),
            )
            nearly = self.backends.now.at
            self.world.told("it was watched", lambda: len(self.backends.since(nearly)) >= REST_SAMPLES)
            self.stretched += self.backends.since(start)
        finally:
            self.world.switch(hold="false", linger="false")

    def is_nearly_all_in_use(self) -> bool:
        """Whether what is open now is nine tenths of what is granted."""
        return self.backends.now.total >= NEARLY_ALL * self.claims.total

    def stacked(self) -> None:
        """Edits on top of rollouts that have begun and are not over, while whoever is told to stop takes its time."""
        self.world.switch(linger="true")
        try:
            self.world.roll_all()
            self.world.told("all five roll out", lambda: self.world.rolling)
            self.world.told("pods that terminate fill what is granted", self.is_nearly_all_in_use)
            self.world.roll_all()
        finally:
            self.world.switch(linger="false")
        self.world.told("all five roll out anew", lambda: self.world.rolling)

    def drained(self) -> None:
        """A worker is drained of the services' pods through the eviction API, and comes back."""
        node = busiest_node(self.world)
        try:
            self.world.kube.run(
                "drain",
                node,
                "--ignore-daemonsets",
                "--delete-emptydir-data",
                "--pod-selector=plimsoll.dev/service",
                "--timeout=300s",  # their disruption budgets let one pod of each workload go at a time
                seconds=330,
            )
            self.world.told(
                f"{node} is empty",
                lambda: not [pod for pod in self.world.pods() if pod["spec"].get("nodeName") == node],
            )
        finally:
            self.world.kube.run("uncordon", node)

    def killed(self) -> None:
        """Of every service a pod is deleted, and in another one every process is killed at once."""
        for name in self.world.tenants:
            first, *others = self.world.told(f"{name} has a ready pod", partial(ready_pods, self.world, name))
            where = f"--namespace={first['metadata']['namespace']}"
            self.world.kube.run("delete", "pod", first["metadata"]["name"], "--wait=false", where)
            if others:
                kill(self.world, others[-1])

    def resized(self) -> None:
        """What one service gives back, another one gets; and the autoscaler goes to its minimum."""
        self.world.switch(burn=0)
        self.world.change("bursty", {"web": {"replicas": 2}})
        self.world.told("bursty has given back a pod's connections", lambda: self.world.held("bursty") == 6)
        self.world.told("the API server has heard of it", lambda: self.world.may("prefork", {"web": {"replicas": 4}}))
        self.world.told("prefork has got them", lambda: self.world.held("prefork") == 10)
        self.world.change("prefork", {"web": {"replicas": 3}})
        self.world.told("prefork has given them back", lambda: self.world.held("prefork") == 8)
        self.world.told("the API server has heard of it", lambda: self.world.may("bursty", {"web": {"replicas": 3}}))
        self.world.scaled_in()

    def settled(self) -> None:
        """Until nothing moves any more."""
        self.world.settled()

    def scene(self, play: Callable[[], None]) -> None:
        """Plays a scene and notes how long it took."""
        name = play.__name__
        began = time.monotonic()
        play()
        self.seconds[name] = round(self.seconds.get(name, 0) + time.monotonic() - began, 1)
        worst = self.worst()
        print(  # noqa: T201 - both who run it by hand and the kind tier want to see where it is
            f"{name}: {self.seconds[name]} s, so far {worst.open} open of {worst.claimed} claimed by {worst.service}"
        )

    def worst(self) -> Worst:
        """The sample that was closest to its claim, or over it."""
        return peak_over_claim(self.backends.samples, self.claims.moments)

    def figures(self) -> dict[str, float]:
        """What the bench writes down."""
        claim = self.world.tenants["wide"].granted
        return {
            "peak_over_claim_max": round(self.worst().ratio, 3),
            "peak_over_granted": round(peak_over_granted(self.stretched, self.claims.moments), 3),
            "steady_share": round(min(each.by["wide"] for each in self.resting) / claim, 3),
            "samples": len(self.backends.samples),
            "samples_per_second": round(hertz(self.backends.samples), 1),
        }


def busiest_node(world: World) -> str:
    """The node with most of the services' pods; not the server's, unless there is no other."""
    server = world.kube.get("pod", "postgres-0", namespace=world.namespace)
    assert server is not None
    nodes = [str(pod["spec"].get("nodeName", "")) for pod in world.pods()]
    return max(set(nodes), key=lambda node: (node != server["spec"]["nodeName"], nodes.count(node)))


def ready_pods(world: World, name: str) -> list[Manifest]:
    """A service's web pods that are ready and stay."""
    return [
        pod
        for pod in world.pods(name)
        if not pod["metadata"].get("deletionTimestamp")
        and pod["metadata"]["labels"]["app.kubernetes.io/component"] == "web"
        and any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", ()))
    ]


def kill(world: World, pod: Manifest) -> None:
    """SIGKILL for every process of a pod's container, which is then started again in the same pod."""
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    with contextlib.suppress(KubectlError):  # whoever sends it is killed as well
        world.kube.run("exec", name, f"--namespace={namespace}", "--", "sh", "-c", "kill -9 -1")

    def restarted() -> bool:
        now = world.kube.get("pod", name, namespace=namespace) or {}
        return any(each["restartCount"] > 0 for each in now.get("status", {}).get("containerStatuses", ()))

    world.told(f"the container of {name} has been started again", restarted)
