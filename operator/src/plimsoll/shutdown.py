"""Deadlines that add up: from the parts of a pod's end to terminationGracePeriodSeconds.

Used by the builders, by the arithmetic of ``Counted``, and by the CRD, which refuses a sum that nobody can mean. The
kubelet counts the preStop hook into the grace period, and kills at its end; so the grace period must outlast every
phase, each of which has a deadline of its own, in the order in which ``plimsoll_runtime`` goes through them:

    preStop → drain (accepting, Connection: close) → requests or jobs under way → lifespan (pools, telemetry) → slack

preStop and drain add up, and both may be set: an image that does not drain by itself pays for a drain that it does not
know with a grace period some seconds longer than needed, and nothing else. A refusal would ask everyone who sets the
one to set the other to 0, since a default cannot be told from a wish.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from plimsoll.api.cel import Expression
    from plimsoll.api.fastapiservice import Shutdown

SUPERVISION_SECONDS: Final = 1
"""uvicorn sees a signal within 0.1 s, its supervisor of workers within 0.5 s, and sleeps 0.1 s: 0.7, rounded up."""

SLACK_SECONDS: Final = 5
"""What the kubelet and the runtime may take between the hook, the signal and the exit."""

_FIXED: Final = SUPERVISION_SECONDS + SLACK_SECONDS


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """How pods of one sort end.

    Attributes:
        pods: what they are called in a sentence.
        phases: the fields of ``shutdown`` that add up, in the order in which they pass, as the API names them.
        most: the longest end that is taken, in seconds.
    """

    pods: str
    phases: tuple[str, ...]
    most: int

    def seconds(self, shutdown: Shutdown) -> int:
        """terminationGracePeriodSeconds of such a pod."""
        deadlines: dict[str, int] = shutdown.model_dump(by_alias=True)
        return sum(deadlines[phase] for phase in self.phases) + _FIXED

    def refusal(self, shutdown: Shutdown) -> str:
        """Why these deadlines are too long, with the sum; empty where they are not."""
        total, terms = self.seconds(shutdown), shutdown.model_dump(by_alias=True)
        if total <= self.most:
            return ""
        return self._sentence().format(*(terms[phase] for phase in self.phases), total, total - self.most)

    def rule(self) -> Expression:
        """The same in CEL, of a spec: whether they are not too long."""
        return f"{self._sum()} <= {self.most}"

    def message(self) -> Expression:
        """The refusal in CEL; the API server knows what it costs to format numbers, not what to join texts of them."""
        values = [*(f"self.shutdown.{phase}" for phase in self.phases), self._sum(), f"{self._sum()} - {self.most}"]
        return f"'{self._sentence().replace('{}', '%d')}'.format([{', '.join(values)}])"

    def _sum(self) -> Expression:
        return " + ".join([*(f"self.shutdown.{phase}" for phase in self.phases), str(_FIXED)])

    def _sentence(self) -> str:
        terms = " + ".join(f"{{}} {phase}" for phase in self.phases)
        return (
            f"shutdown: {self.pods} may take {terms} + {_FIXED} for signals and clearing away = {{}} s to end, and"
            f" {self.most} s is the most: a rollout and a node drain wait so long for each pod; lower these deadlines"
            " by {} s in all"
        )


WEB: Final = Ending(
    pods="a web pod",
    phases=("preStopSeconds", "drainSeconds", "requestDeadlineSeconds", "lifespanSeconds"),
    most=3600,
)
"""Nobody waits for an answer for longer than an hour."""

JOBS: Final = Ending(pods="a pod of job workers", phases=("jobDeadlineSeconds", "lifespanSeconds"), most=6 * 3600)
"""No requests come, so nothing drains. A job that takes longer than a shift of six hours is better cut into steps."""


def web_grace_seconds(shutdown: Shutdown) -> int:
    """terminationGracePeriodSeconds of a web pod, in seconds."""
    return WEB.seconds(shutdown)


def job_grace_seconds(shutdown: Shutdown) -> int:
    """terminationGracePeriodSeconds of a pod of job workers, in seconds."""
    return JOBS.seconds(shutdown)
