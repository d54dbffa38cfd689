"""How an app declares its jobs, and what a step is given when it runs.

    JOBS = Registry(JobKind("captions.check", (Step("ocr", run=recognise, load=slide_of),)))

A step's ``run`` is a module-level function. A plain ``def`` runs in a child process, which may block, crash or be
killed as it likes; an ``async def`` runs on the worker's own event loop and must not block it.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from plimsoll_runtime.errors import PlimsollError

if TYPE_CHECKING:
    from uuid import UUID

    from psycopg import AsyncConnection
    from pydantic import BaseModel

Json: TypeAlias = Mapping[str, Any]
"""What goes in and comes out of a step: an object that JSON can hold."""


class PermanentError(PlimsollError):
    """Raised by a step that would fail the same way every time: the job fails now, without further attempts."""


def _ignore(_: float) -> None:
    return None


@dataclass(frozen=True, kw_only=True)
class StepInput:
    """What one attempt of a step works on. It holds no connection: the contract counts none for a step."""

    job: UUID
    step: str
    attempt: int
    input: Json
    """The job's, as enqueued."""
    results: Json = field(default_factory=dict)
    """Those of the steps it needs, by name."""
    payload: bytes = b""
    """What the step's ``load`` read for it."""
    report: Callable[[float], None] = _ignore
    """Call with the share that is done, 0 to 1."""


Run: TypeAlias = Callable[[StepInput], Json | Awaitable[Json]]
Load: TypeAlias = "Callable[[AsyncConnection[Any], UUID], Awaitable[bytes]]"


@dataclass(frozen=True)
class Step:
    """One step of a job.

    Attributes:
        name: unique within its job.
        run: the work itself.
        needs: steps that must be done before this one is ready.
        load: reads what the step works on, given one of the worker's own connections and the job's id.
        max_attempts: how many attempts may fail before the job does.
        timeout_seconds: how long one attempt may take.
    """

    name: str
    run: Run = field(kw_only=True)
    needs: tuple[str, ...] = field(default=(), kw_only=True)
    load: Load | None = field(default=None, kw_only=True)
    max_attempts: int = field(default=5, kw_only=True)
    timeout_seconds: float = field(default=300.0, kw_only=True)

    @property
    def in_child(self) -> bool:
        """Whether it runs in a process of its own."""
        return not inspect.iscoroutinefunction(self.run)


@dataclass(frozen=True)
class JobKind:
    """A job's name and its steps; the result of the one that no other needs is the job's.

    Attributes:
        name: unique in the database.
        steps: what it is made of, each after those that it needs.
        input: what its input must be, when it is enqueued and again before each step (``gate``); anything if none.

    Raises:
        ValueError: the steps are not such a graph.
    """

    name: str
    steps: tuple[Step, ...]
    input: type[BaseModel] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for step in self.steps:
            if step.name in seen or not seen.issuperset(step.needs) or len(set(step.needs)) < len(step.needs):
                raise ValueError(
                    f"{self.name}: {step.name} needs its own name and only steps declared before it, once each"
                )
            seen.add(step.name)
        last = seen.difference(*(step.needs for step in self.steps))
        if len(last) != 1:
            raise ValueError(f"{self.name} must end in one step, not in {sorted(last)}")


class Registry:
    """The steps that a worker takes; it leaves others, such as a newer version's, to those who know them.

    Args:
        kinds: what it knows.
        ready: called once in each worker process before it takes anything. What a step cannot do without, such as a
            program or a model, is looked for here; ``StartError`` carries the sentence that says what is missing.
    """

    def __init__(self, *kinds: JobKind, ready: Callable[[], object] | None = None) -> None:
        self.ready = ready
        self.steps: Mapping[tuple[str, str], Step] = {
            (kind.name, step.name): step for kind in kinds for step in kind.steps
        }
        """By kind of job and name of step."""
        self.kinds: Mapping[str, JobKind] = {kind.name: kind for kind in kinds}
        """By name."""
