"""Witnesses of the line: what the server has open and what the ledger holds, with times of one host's clock."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from support.line_figures import STRANGERS, Moment
from support.line_tenants import SAMPLER
from support.witness import _Witness

if TYPE_CHECKING:
    from collections.abc import Iterable

    from support.kube import Kube

SAMPLES = """
SELECT json_build_object('at', extract(epoch FROM clock_timestamp()), 'by', coalesce(json_object_agg(name, n), '{}'))
FROM (SELECT application_name AS name, count(*) AS n FROM pg_stat_activity
      WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
        AND application_name NOT IN ('psql', 'plimsoll-operator') GROUP BY 1) AS backends
\\watch 0.05
"""


class BackendWitness(_Witness):
    """The connections that each service's pods have open, twenty times a second, over one connection of its own.

    A pod's name begins with its service's; what belongs to none of them is counted as strangers'.
    """

    def __init__(self, kube: Kube, namespace: str, services: Iterable[str]) -> None:
        database = f"dbname=captions user=captions application_name={SAMPLER}"
        psql = ("psql", "--quiet", "--no-align", "--tuples-only", "--no-psqlrc", database)
        super().__init__(kube, "exec", "--stdin", f"--namespace={namespace}", "postgres-0", "--", *psql, stdin=SAMPLES)
        self._services = tuple(services)
        self.samples: list[Moment] = []

    def _take(self, line: str) -> bool:
        if not line.startswith("{"):
            return False
        sample = json.loads(line)
        by = dict.fromkeys(self._services, 0)
        for pod, number in sample["by"].items():
            name = next((each for each in self._services if pod.startswith(f"{each}-")), STRANGERS)
            by[name] = by.get(name, 0) + number
        self.samples.append(Moment(float(sample["at"]), by))
        return True

    @property
    def now(self) -> Moment:
        """The last sample."""
        return self.samples[-1]

    def since(self, start: float) -> list[Moment]:
        """The samples that were taken after a moment."""
        return [each for each in self.samples if each.at >= start]


class ClaimWitness(_Witness):
    """Every state of the ledger, by the API server's own watch of the budget."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        # Two lists: kubectl prints nothing but the first event of a watch by a template with a range in it.
        claims = r"claims:{.object.status.claims[*].name}|{.object.status.claims[*].connections}{'\n'}"
        watch = ("--watch", "--output-watch-events", f"--output=jsonpath={claims}")
        super().__init__(kube, "get", "connectionbudget", "main", f"--namespace={namespace}", *watch)
        self.moments: list[Moment] = []

    def _take(self, line: str) -> bool:
        if not line.startswith("claims:"):
            return False
        names, numbers = (each.split() for each in line.removeprefix("claims:").split("|"))
        self.moments.append(Moment(time.time(), dict(zip(names, map(int, numbers), strict=True))))
        return True

    @property
    def total(self) -> int:
        """What all of them hold now."""
        return self.moments[-1].total
