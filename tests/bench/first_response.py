"""Apply → first 200: a FastAPIService against a plain Deployment and Service of the same image, in one run.

The plain pair is what the operator itself renders (same probes, environment and deadlines), without its labels, owner
and guard. The two take turns, in alternating order; what is compared are the medians. A request goes through the API
server's proxy, which knows a ready pod as soon as the endpoints do. The kubelet looks at its pods once a second, so a
run begins at a random moment of one, and there are many: else a tenth of a second could show as a whole one.

    PYTHONPATH=tests python -m bench.first_response [PAIRS]     on the cluster of $KUBECONFIG, with the quickstart in it
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any

from bench.record import write
from support.kube import Kube, Manifest
from support.stage import SERVICE

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "first-response"
NAMESPACE = "demo"
LONGEST_SECONDS = 120


def service(image: str) -> Manifest:
    """The FastAPIService: one web pod, the quickstart's database, no migrations."""
    return {
        "apiVersion": "plimsoll.dev/v1alpha1",
        "kind": "FastAPIService",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {
            "image": image,
            "web": {"replicas": 1},
            "envFrom": [{"secretRef": {"name": "captions-token"}}],
            "database": {"budgetRef": {"name": "main"}, "secretRef": {"name": "captions-db"}},
            "shutdown": {"drainSeconds": 0},
        },
    }


def plain(kube: Kube) -> tuple[Manifest, Manifest]:
    """The Deployment and Service that the operator has made for it, as somebody would write them by hand."""
    deployment = kube.get("deployment", f"{NAME}-web", namespace=NAMESPACE)
    front = kube.get("service", NAME, namespace=NAMESPACE)
    assert deployment
    assert front
    labels = {"app": NAME}
    template = deployment["spec"]["template"]
    template["metadata"] = {"labels": labels}
    for field in ("priorityClassName", "priority", "preemptionPolicy"):
        template["spec"].pop(field, None)
    spec = {**deployment["spec"], "selector": {"matchLabels": labels}, "template": template}
    ports = [{name: port[name] for name in ("name", "port", "targetPort")} for port in front["spec"]["ports"]]
    where = {"name": f"{NAME}-plain", "namespace": NAMESPACE}
    return (
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": where, "spec": spec},
        {"apiVersion": "v1", "kind": "Service", "metadata": where, "spec": {"selector": labels, "ports": ports}},
    )


def seconds_to_first_200(kube: Kube, name: str, *manifests: Manifest) -> float:
    """From the start of `kubectl apply` to the first 200 of the readiness path."""
    with kube.http(NAMESPACE, name) as client:
        client.get("readyz")  # the connection to the API server is not what is measured
        time.sleep(random.random())  # noqa: S311 - dice, not a secret
        began = time.monotonic()
        kube.apply(*manifests)
        while client.get("readyz").status_code != 200:
            if time.monotonic() - began > LONGEST_SECONDS:
                raise TimeoutError(f"{name} did not answer within {LONGEST_SECONDS} s")
            time.sleep(0.02)
        return time.monotonic() - began


def clear(kube: Kube, *refs: tuple[str, str]) -> None:
    """Deletes, and waits until the pods have gone: they would share the processors with the next run."""
    for kind, name in refs:
        kube.delete(kind, name, namespace=NAMESPACE)
    labels = (f"plimsoll.dev/service={NAME}", f"app={NAME}")
    kube.until(
        "the pods are gone",
        lambda: not any(kube.list("pods", namespace=NAMESPACE, labels=each) for each in labels),
        within=60,
    )


def measure(kube: Kube, image: str, pairs: int, *, say: Callable[[str], Any] = print) -> dict[str, Any]:
    """Runs the pairs, after one that only warms up; the figures."""
    custom = service(image)

    def with_plimsoll() -> float:
        seconds = seconds_to_first_200(kube, NAME, custom)
        clear(kube, (SERVICE, NAME))
        return seconds

    def without() -> float:
        seconds = seconds_to_first_200(kube, f"{NAME}-plain", *by_hand)
        clear(kube, ("deployment", f"{NAME}-plain"), ("service", f"{NAME}-plain"))
        return seconds

    clear(kube, (SERVICE, NAME), ("deployment", f"{NAME}-plain"), ("service", f"{NAME}-plain"))
    seconds_to_first_200(kube, NAME, custom)
    by_hand = plain(kube)
    clear(kube, (SERVICE, NAME))
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(pairs):
        turns = [(ours, with_plimsoll), (theirs, without)]
        for times, run in turns if number % 2 else reversed(turns):
            times.append(run())
        say(f"pair {number + 1}: plimsoll {ours[-1]:.2f} s, plain {theirs[-1]:.2f} s")
    return {
        "first_response_ratio": round(statistics.median(ours) / statistics.median(theirs), 3),
        "first_response_plimsoll_s": round(statistics.median(ours), 2),
        "first_response_plain_s": round(statistics.median(theirs), 2),
        "pairs": pairs,
        "plimsoll_s": [round(each, 2) for each in ours],
        "plain_s": [round(each, 2) for each in theirs],
    }


if __name__ == "__main__":
    cluster = Kube()
    quickstart = cluster.get(SERVICE, "captions", namespace=NAMESPACE)
    if quickstart is None:
        sys.exit("there is no quickstart in this cluster: run `make up` first")
    figures = measure(cluster, quickstart["spec"]["image"], int((sys.argv[1:] or ["15"])[0]))
    write("first_response", command="PYTHONPATH=tests python -m bench.first_response", figures=figures)
