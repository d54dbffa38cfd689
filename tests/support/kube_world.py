"""What surrounds the operator in a cluster, as a model: controllers, kubelets, garbage collector, quota admission.

Each offers the moves that it could legally make next; a test picks one, in any order, as late as it likes. What a
controller knows may be old: it acts on the spec that it has *seen*, until it makes the move to look again. Nothing in
here knows of budgets or claims, and nothing waits for the operator.

The controllers of Deployments, quotas and autoscalers have modules of their own; here are Jobs, kubelets, the garbage
collector, and all of them together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plimsoll.observed import running
from support.kube_autoscalers import Autoscalers
from support.kube_base import ENDED, Move, is_owner
from support.kube_deployments import Deployments
from support.kube_quotas import Quotas

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from plimsoll.api.meta import Manifest

SOURCES = ("quotas", "deployments", "autoscalers", "replica_sets", "jobs", "pods", "garbage")
"""Who makes the moves."""


class KubeWorld(Deployments, Quotas, Autoscalers):
    """The controllers over the objects of a ``MemoryCluster``."""

    def moves(self, *, asleep: str = "") -> list[Move]:
        """Everything that could happen next, in a fixed order, but for what one of the ``SOURCES`` would do."""
        return [move for source in SOURCES if source != asleep for move in getattr(self, f"_{source}")()]

    def run(self, *, rounds: int = 200) -> bool:
        """Lets everything that happens by itself happen, until nothing more does; whether that came to be."""
        for _ in range(rounds):
            fair = next((move for move in self.moves() if move.fair), None)
            if fair is None:
                return True
            fair.do()
        return False

    def drain(self) -> None:
        """Every pod begins to end, and all that makes pods replaces what it may before one of them is gone."""
        for pod in self.cluster.of_kind("Pod"):
            if (
                pod["status"]["phase"] not in ENDED
                and "deletionTimestamp" not in pod["metadata"]
                and self.may_end(pod, "evicted")
            ):
                self.terminate(pod, why="evicted")
        while making := [move for move in (*self._replica_sets(), *self._jobs()) if move.name.endswith("makes a pod")]:
            making[0].do()

    def open_connections(self, *budgets: str) -> int:
        """What the pods that exist could open, to the servers of some budgets or in all."""
        return cost(self.cluster.of_kind("Pod"), budgets)

    # ---- Jobs: a failed pod is replaced when it is gone

    def _jobs(self) -> Iterator[Move]:
        for job in self.cluster.of_kind("Job"):
            meta = job["metadata"]
            if any(each["type"] in {"Complete", "Failed"} for each in job.get("status", {}).get("conditions", [])):
                continue
            mine = [pod for pod in self.cluster.of_kind("Pod") if is_owner(job, pod)]
            tries = job.get("status", {}).get("failed", 0)
            going = [pod for pod in mine if pod["status"]["phase"] not in ENDED]
            if any(pod["status"]["phase"] == "Succeeded" for pod in mine):
                yield Move(f"job {meta['name']} is complete", lambda m=meta: self._end_job(m, "Complete"))  # type: ignore[misc]
            elif not going and tries > job["spec"]["backoffLimit"]:
                yield Move(f"job {meta['name']} has failed", lambda m=meta: self._end_job(m, "Failed"))  # type: ignore[misc]
            elif not going:
                yield Move(f"job {meta['name']} makes a pod", lambda j=job, t=tries: self._try_job(j, t))  # type: ignore[misc]

    def _try_job(self, job: Manifest, tries: int) -> None:
        self.set_status("Job", job["metadata"], failed=tries + 1)
        self.make(job)

    def _end_job(self, meta: Manifest, how: str) -> None:
        done = {"completionTime": self.clock()} if how == "Complete" else {}
        self.set_status("Job", meta, conditions=[{"type": how, "status": "True"}], **done)

    # ---- kubelets, evictions, people with kubectl

    def _pods(self) -> Iterator[Move]:
        for pod in self.cluster.of_kind("Pod"):
            name, meta, status = pod["metadata"]["name"], pod["metadata"], pod["status"]
            if "deletionTimestamp" in meta:
                yield Move(
                    f"pod {name} is gone",
                    lambda m=meta: self.cluster.remove("Pod", m["namespace"], m["name"]),  # type: ignore[misc]
                )
                if meta["deletionTimestamp"] > self.clock():
                    yield Move(f"pod {name} overstays", lambda p=pod: self.overstay(p), fair=False)  # type: ignore[misc]
                continue
            if status["phase"] in ENDED:
                continue
            if pod["spec"].get("restartPolicy") == "Never":
                yield Move(f"pod {name} succeeds", lambda m=meta: self.set_status("Pod", m, phase="Succeeded"))  # type: ignore[misc]
            elif not status["ready"]:
                yield Move(f"pod {name} is ready", lambda m=meta: self.set_status("Pod", m, ready=True))  # type: ignore[misc]
            if self.may_end(pod, "evicted"):
                yield Move(f"pod {name} is evicted", lambda p=pod: self.terminate(p, why="evicted"), fair=False)  # type: ignore[misc]
            yield Move(
                f"pod {name} fails",
                lambda m=meta: self.set_status("Pod", m, phase="Failed", ready=False),  # type: ignore[misc]
                fair=False,
            )

    # ---- the garbage collector removes, in any order and late, what has lost all its owners

    def _garbage(self) -> Iterator[Move]:
        uids = {each["metadata"]["uid"] for each in self.cluster.objects.values()}
        for (kind, namespace, name), each in list(self.cluster.objects.items()):
            owners = each["metadata"].get("ownerReferences", [])
            if not owners or any(owner["uid"] in uids for owner in owners):
                continue
            if kind != "Pod":
                yield Move(
                    f"garbage collector removes {kind} {name}",
                    lambda k=kind, s=namespace, n=name: self.cluster.remove(k, s, n),  # type: ignore[misc]
                )
            elif "deletionTimestamp" not in each["metadata"]:
                yield Move(f"garbage collector ends pod {name}", lambda p=each: self.terminate(p))  # type: ignore[misc]


def cost(pods: Iterator[Manifest], budgets: Collection[str] = ()) -> int:
    """What these pods could open, to the servers of some budgets or in all."""
    return sum(view.connections.count for view in running(pods) if not budgets or str(view.budget) in budgets)
