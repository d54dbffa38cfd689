"""Witnesses: they watch a namespace while something happens, and are asked afterwards what they have seen.

PodWitness follows the API server's own watch of the pods, so that it misses none, however briefly it lived.
ConnectionWitness asks pg_stat_activity ten times a second, over one connection that it leaves out of the count.
"""

from __future__ import annotations

import json
import math
import subprocess
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.kube import Kube

SAMPLES = """
SELECT json_build_object('at', extract(epoch FROM clock_timestamp()), 'by', coalesce(json_object_agg(name, n), '{}'))
FROM (SELECT application_name AS name, count(*) AS n FROM pg_stat_activity
      WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
        AND application_name NOT IN ('psql', 'plimsoll-operator') GROUP BY 1) AS backends
\\watch 0.1
"""


@dataclass(frozen=True)
class Seen:
    """A pod at one moment."""

    name: str
    part: str
    connections: int
    """What it could open, to all its servers together."""

    leaving: bool
    over: bool
    """Gone, or its containers have ended: it can hold no connection."""


class _Witness:
    """A kubectl that goes on, and a thread that reads what it prints."""

    def __init__(self, kube: Kube, *arguments: str, stdin: str = "") -> None:
        self._kube, self._arguments, self._stdin = kube, arguments, stdin
        self._first = threading.Event()
        self._lines: list[str] = []

    def __enter__(self) -> Self:
        self._process = self._kube.start(*self._arguments, stdin=subprocess.PIPE)
        assert self._process.stdin is not None
        self._process.stdin.write(self._stdin)
        self._process.stdin.flush()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        if not self._first.wait(30):
            self.__exit__()
            raise AssertionError(f"the witness sees nothing: kubectl {' '.join(self._arguments)}: {self._lines}")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._thread.join(10)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait(10)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line.strip())
            if self._take(line.strip()):
                self._first.set()

    def _take(self, line: str) -> bool:
        raise NotImplementedError


class PodWitness(_Witness):
    """Every change of every pod in a namespace. There must be one already when it begins."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        fields = (
            r"{.type}|{.object.metadata.name}|{.object.metadata.labels.app\.kubernetes\.io/component}|"
            r"{.object.metadata.annotations.plimsoll\.dev/connections}|{.object.metadata.deletionTimestamp}|"
            r"{.object.status.phase}{'\n'}"
        )
        watch = ("--watch", "--output-watch-events", f"--output=jsonpath={fields}")
        super().__init__(kube, "get", "pods", f"--namespace={namespace}", *watch)
        self.moments: list[tuple[float, dict[str, Seen]]] = []
        """After every change: when it was heard of, and all pods as they were then."""

    def _take(self, line: str) -> bool:
        event, name, part, connections, leaving, phase = line.split("|")
        over = event == "DELETED" or phase in {"Succeeded", "Failed"}
        opens = sum(int(each.rpartition("=")[2]) for each in connections.split(",") if each)
        seen = Seen(name, part, opens, bool(leaving), over)
        before = self.moments[-1][1] if self.moments else {}
        self.moments.append((time.time(), {**before, name: seen}))
        return True

    def most(self, part: str) -> int:
        """The most pods of one workload that existed at once, leaving ones included."""
        return max(sum(pod.part == part and not pod.over for pod in pods.values()) for _, pods in self.moments)

    def most_connections(self, *, since: float = 0, until: float = math.inf) -> int:
        """The most connections that the pods that existed at once could have opened, between two moments."""
        before = [pods for at, pods in self.moments if at < since][-1:]
        pods_then = [*before, *(pods for at, pods in self.moments if since <= at <= until)]
        return max(sum(pod.connections for pod in pods.values() if not pod.over) for pods in pods_then)

    def names(self, part: str) -> set[str]:
        """All pods of one workload that were ever seen."""
        return {pod.name for pod in self.moments[-1][1].values() if pod.part == part}

    def now(self) -> dict[str, Seen]:
        """The pods that exist."""
        return {name: pod for name, pod in self.moments[-1][1].items() if not pod.over}


class ConnectionWitness(_Witness):
    """The client connections of the server in ``postgres-0``, ten times a second, by the name that each gave."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        psql = ("psql", "--username=captions", "--quiet", "--no-align", "--tuples-only", "--no-psqlrc")
        super().__init__(kube, "exec", "--stdin", f"--namespace={namespace}", "postgres-0", "--", *psql, stdin=SAMPLES)
        self.samples: list[dict[str, Any]] = []

    def _take(self, line: str) -> bool:
        if not line.startswith("{"):
            return False
        self.samples.append(json.loads(line))
        return True

    def most(self, *, since: float = 0, until: float = math.inf) -> int:
        """The most connections at once, between two moments."""
        within = [sample["by"] for sample in self.samples if since <= float(sample["at"]) <= until]
        return max((sum(int(number) for number in by.values()) for by in within), default=0)

    def most_by_name(self) -> Counter[str]:
        """The most connections that each pod had at once."""
        most: Counter[str] = Counter()
        for name, number in self._each():
            most[name] = max(most[name], number)
        return most

    def _each(self) -> Iterator[tuple[str, int]]:
        for sample in self.samples:
            yield from sample["by"].items()
