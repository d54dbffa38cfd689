"""What users may wish for in a property test, and how things go on for a while after that: hypothesis strategies.

Used by the state machines of tests/property. Three budgets are there to wish for: ``main`` and ``twin`` point at one
server, ``other`` at another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from support.builders import group, service_manifest
from support.kube_world import SOURCES

if TYPE_CHECKING:
    from plimsoll.api.meta import Manifest

NAMES = ("a", "b", "c")
SERVERS = {"main": "one", "twin": "one", "other": "two"}
"""Budget → the server that its Secret points at."""

_SCALES = st.sampled_from((None, None, None, (1, 3), (2, 4)))
_CPU = {"requests": {"cpu": "100m"}}


def _group(name: str, scale: tuple[int, int] | None, **wishes: Any) -> Manifest:
    return group(name, **wishes, **_scaled(scale))


def _scaled(scale: tuple[int, int] | None) -> Manifest:
    if scale is None:
        return {}
    return {"autoscaling": {"minReplicas": scale[0], "maxReplicas": scale[1]}, "resources": _CPU}


GROUPS = st.lists(
    st.builds(
        _group,
        st.sampled_from(("x", "y")),
        scale=st.sampled_from((None, None, None, (1, 2))),
        replicas=st.integers(0, 2),
        processes=st.integers(1, 2),
        connections=st.integers(1, 3),
    ),
    max_size=2,
    unique_by=lambda each: each["name"],
).map(tuple)

ALSO = st.one_of(
    st.none(),
    st.none(),
    st.tuples(st.sampled_from(tuple(SERVERS)), st.integers(1, 4), st.integers(0, 1), st.integers(0, 2)),
)
"""An additional database: budget, pool, overflow, connections of each process of the job workers."""

WISHES: dict[str, st.SearchStrategy[Any]] = {
    "replicas": st.integers(0, 4),
    "scale": _SCALES,
    "workers": st.integers(1, 2),
    "pool": st.integers(1, 6),
    "shrinks_to": st.sampled_from((None, None, 1, 3)),
    "overflow": st.integers(0, 2),
    "jobs": GROUPS,
    "image": st.sampled_from(("app:1", "app:2", "app:3")),
    "migration": st.sampled_from((None, None, 1, 3)),
    "rollout": st.sampled_from(((1, 0), (1, 0), (0, 1), (2, 1))),
    "budget": st.sampled_from(("main", "main", "main", "twin", "other")),
    "also": ALSO,
}
FIRST = st.fixed_dictionaries(WISHES)
EDITS = st.one_of([st.fixed_dictionaries({name: values}) for name, values in WISHES.items()])
EDITS_OF_TWO = st.builds(lambda one, other: one | other, EDITS, EDITS)


def manifest(name: str, wishes: Manifest) -> Manifest:
    """The FastAPIService that they make."""
    rest = dict(wishes)
    surge, unavailable = rest.pop("rollout")
    also, least, scale = rest.pop("also"), rest.pop("shrinks_to"), rest.pop("scale")
    if also is not None:
        budget, pool, overflow, jobs = also
        rest["additionalDatabases"] = [
            {
                "name": "orders",
                "budgetRef": {"name": budget},
                "secretRef": {"name": "orders-db"},
                "poolSize": pool,
                "maxOverflow": overflow,
                "jobConnectionsPerProcess": jobs,
            }
        ]
    made = service_manifest(name, surge=surge, unavailable=unavailable, web=_scaled(scale), **rest)
    if least is not None:
        made["spec"]["whenOver"] = "ShrinkPool"
        made["spec"]["database"]["pool"]["minSize"] = min(least, rest["pool"])
    return made


@dataclass(frozen=True)
class Course:
    """How things go on for a while."""

    calls: list[int]
    """After how many calls to the API server the operator's looks at the service are interrupted."""

    moves: int
    """How many of the moves that are possible happen after each."""

    luck: int
    """Which: the seed of the choice."""

    asleep: str
    """Who does nothing meanwhile."""

    bad_luck: bool
    """Whether pods are evicted, fail and outstay their grace period."""

    drained: int
    """After how many moves all pods are evicted, and replaced before they are gone."""


COURSES = st.builds(
    Course,
    calls=st.lists(st.sampled_from((99, 99, *range(9, 24))), min_size=1, max_size=4),
    moves=st.integers(4, 16),
    luck=st.integers(0, 2**16),
    asleep=st.sampled_from(("nobody", "nobody", *SOURCES)),
    bad_luck=st.booleans(),
    drained=st.integers(0, 24),
)
