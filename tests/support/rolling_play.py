"""What is done to a service while a load runs on it, and when each scene of it began and ended."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from support.rolling_figures import Scene

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.load import Load
    from support.rolling_world import Rolling


@dataclass
class Play:
    """The scenes of one load."""

    world: Rolling
    load: Load
    told: Callable[[Scene], None] = lambda _: None
    """Hears of each scene at its end."""

    scenes: list[Scene] = field(default_factory=list)

    def steady(self, seconds: float) -> None:
        """Nothing is done for so long."""
        end = time.time() + seconds
        until = self.world.stage.until
        self._scene("steady", lambda: until("time passes", lambda: time.time() >= end, within=2 * seconds, every=1))

    def rollouts(self, count: int) -> None:
        """One rollout after the other."""
        for _ in range(count):
            self._scene("rollout", self.world.roll)

    def rollouts_beside(self, neighbour: Rolling, count: int) -> None:
        """As many of a service that gets none of the load: what they cost is not this service's doing."""
        for _ in range(count):
            self._scene("neighbour's rollout", neighbour.roll)

    def everything_else(self) -> None:
        """More pods and fewer, a node drained, the password rotated, the schema migrated."""
        self._scene("scale up", lambda: self.world.scale(self.world.pace.replicas + 2))
        self._scene("scale down", lambda: self.world.scale(self.world.pace.replicas))
        self._scene("node drain", self.world.drain)
        self._scene("secret rotation", self.world.rotate)
        self._scene("migration", self.world.migrate)

    def _scene(self, what: str, do: Callable[[], object]) -> None:
        start = time.time()
        do()
        self.scenes.append(Scene(what, start, time.time()))
        self.told(self.scenes[-1])
