"""Whose jobs were done how often: a trigger in the database writes down every change of a step's state.

So the evidence is not the ledger's own word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from support.stage import Stage

AUDIT = """
CREATE TABLE IF NOT EXISTS audit (
    at timestamptz DEFAULT clock_timestamp(), job uuid, was text, state text, worker text);
CREATE OR REPLACE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
    INSERT INTO audit (job, was, state, worker) VALUES (new.job_id, old.state, new.state, new.worker);
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER audit AFTER UPDATE OF state ON plimsoll_jobs.step
    FOR EACH ROW WHEN (old.state <> new.state) EXECUTE FUNCTION audit();
"""


def all_ended(stage: Stage, *, within: float = 180) -> None:
    """Waits until no job is open any more."""
    left = "SELECT count(*) FROM plimsoll_jobs.job WHERE state = 'open'"
    stage.until("all jobs have ended", lambda: stage.sql(left) == "0", within=within, every=1)


def times_done(stage: Stage) -> dict[str, int]:
    """Job → how often it was done."""
    return jobs_since(stage, 0)


def jobs_since(stage: Stage, started: float) -> dict[str, int]:
    """The same of the jobs that came after a moment, in seconds since the epoch."""
    rows = stage.sql(
        "SELECT job.id, count(audit.job) FROM plimsoll_jobs.job"  # noqa: S608 - a number of ours
        " LEFT JOIN audit ON audit.job = job.id AND audit.state = 'done'"
        f" WHERE job.created_at >= to_timestamp({started}) GROUP BY 1"
    ).split()
    return {job: int(times) for job, times in (row.split("|") for row in rows)}
