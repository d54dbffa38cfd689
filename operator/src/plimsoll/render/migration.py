"""The migration Job: one per image and command, run before the pods of that image roll out.

Its name carries a digest of both, so that the same image never migrates twice and a fixed image gets a Job of its own.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from plimsoll.conditions import met
from plimsoll.render.names import child, metadata
from plimsoll.render.pod import Process, template
from plimsoll.units import Connections

if TYPE_CHECKING:
    from collections.abc import Mapping

    from plimsoll.api.fastapiservice import FastAPIService, Migrations
    from plimsoll.api.meta import Manifest

PART = "migration"
GRACE_SECONDS = 30
REMEMBERED = 5
"""How many migrations that are done are kept, so that their images need none when they come back."""


def job_name(service: FastAPIService, migrations: Migrations) -> str:
    """Name of the Job of this image and command."""
    identity = "\0".join((service.spec.image, *migrations.command))
    return child(service.metadata.name, f"migrate-{hashlib.sha256(identity.encode()).hexdigest()[:8]}")


def latest_done(children: Mapping[tuple[str, str], Manifest]) -> list[str]:
    """The Jobs that were done last: their images can come back at once, since the schema has all that they need.

    Without this, an image that somebody goes back to would migrate again, and many a tool fails on a schema that is
    newer than its own revisions: the way back would be barred when it is needed.
    """
    done = [
        (job["status"].get("completionTime", ""), name)
        for (kind, name), job in children.items()
        if kind == "Job" and "Complete" in met(job)
    ]
    return [name for _, name in sorted(done, reverse=True)[:REMEMBERED]]


def job(service: FastAPIService, migrations: Migrations) -> Manifest:
    """The Job. At most one pod of it lives at a time: a failed one is replaced only when it is gone."""
    process = Process(
        part=PART,
        command=migrations.command,
        connections={service.budget_key: Connections(migrations.connections)},
        grace_seconds=GRACE_SECONDS,
        env=(("DB_POOL_SIZE", str(migrations.connections)), ("DB_MAX_OVERFLOW", "0")),
        pod={"restartPolicy": "Never", "activeDeadlineSeconds": migrations.timeout_seconds},
    )
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata(service, name=job_name(service, migrations), part=PART),
        "spec": {
            "backoffLimit": 3,
            "parallelism": 1,
            "completions": 1,
            "podReplacementPolicy": "Failed",
            "template": template(service, process),
        },
    }
