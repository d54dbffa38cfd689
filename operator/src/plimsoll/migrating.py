"""The migration in front of a rollout: one Job per image and command, never two at once, and what is said of it.

Called by ``steps`` before any workload is changed; pure. A migration that fails holds the last good state: the step
then ends with what came before it, and a new image, or the Job's deletion, begins anew.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from plimsoll.conditions import ConditionType, Finding, Reason, met, stalls, waits
from plimsoll.render import migration
from plimsoll.render.stamp import stamped
from plimsoll.step import SOON_SECONDS, Step

if TYPE_CHECKING:
    from plimsoll.observed import Observed


def migrate(observed: Observed, *, before: Step) -> Step | None:
    """What to do while the migration of this image is not done; ``None`` when it is, or there is none."""
    service = observed.service
    migrations = service.spec.migrations
    if migrations is None:
        return None
    name = migration.job_name(service, migrations)
    job = observed.children.get(("Job", name))
    if job is None and migration.PART in observed.parts():
        keep = migration.latest_done(observed.children)  # those who are back need none again
        superseded = tuple(sorted(ref for ref in observed.children if ref[0] == "Job" and ref[1] not in keep))
        message = "Waits until the migration of an earlier image has stopped: two never run at once."
        findings = waits(Reason.MIGRATING, message)
        return replace(before, delete=superseded, findings=findings, again_after=2 * SOON_SECONDS)
    under_way = _under_way(observed, name)
    if job is None:
        # Never applied again: a Job's template is immutable, and one run per image is what is wanted.
        apply = (*before.apply, stamped(migration.job(service, migrations)))
        return replace(before, apply=apply, findings=under_way, again_after=2 * SOON_SECONDS)
    if "Complete" in met(job):
        return None
    if "Failed" in met(job):
        message = (
            f"Job {name} failed, so nothing of this image was rolled out; what ran before runs on. A new image is tried"
            f" by itself; to try this one again: kubectl -n {service.metadata.namespace} delete job {name}. Its whole"
            f" log: kubectl -n {service.metadata.namespace} logs job/{name}."
        )
        if words := observed.words_of(name):
            message += f" It ended with {words}"
        finding = Finding(
            type=ConditionType.MIGRATIONS_APPLIED, status=False, reason=Reason.MIGRATION_FAILED, message=message
        )
        return replace(before, findings=(*stalls(Reason.MIGRATION_FAILED, message), finding))
    return replace(before, findings=under_way, again_after=2 * SOON_SECONDS)


def _under_way(observed: Observed, job: str) -> tuple[Finding, ...]:
    """What is said of a migration that is not done: what keeps its pod from starting, or how its last try ended."""
    message = f"Job {job} migrates the database before the pods of this image roll out."
    pods = [pod for pod in observed.pods if pod.part == migration.PART and not pod.overdue_from]
    if trouble := next((pod.trouble for pod in pods if pod.trouble), None):
        message += f" Its pod does not start: {trouble}."
        return stalls(trouble.reason, message) if trouble.holds else waits(Reason.MIGRATING, message)
    if words := observed.last_words.get(job):
        message += f" It is tried again; the last try ended with {words}"
    return waits(Reason.MIGRATING, message)
