"""A stage: a namespace of its own with all that the quickstart has (PostgreSQL, budget, service), for one test module.

The manifests are examples/quickstart.yaml itself, with the namespace and images changed, so that what users are shown
is what is tested.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import yaml
from support.kube import Kube, Manifest, condition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EXAMPLES = Path(__file__).parents[2] / "examples"
SERVICE, BUDGET = "fastapiservice", "connectionbudget"
SECONDS_TO_READY = 120


@dataclass(frozen=True)
class Images:
    """What is loaded into the cluster's nodes; hack/test.sh says it."""

    operator: str
    captions: str
    postgres: str

    @classmethod
    def of_environment(cls) -> Images:
        """From PLIMSOLL_OPERATOR_IMAGE, PLIMSOLL_CAPTIONS_IMAGE, PLIMSOLL_POSTGRES_IMAGE."""
        return cls(*(os.environ[f"PLIMSOLL_{name}_IMAGE"] for name in ("OPERATOR", "CAPTIONS", "POSTGRES")))

    def second_tag(self, kube: Kube) -> str:
        """The captions image under another name, on every node: an image change that changes nothing else."""
        other = f"{self.captions}-again"
        for node in kube.list("nodes"):
            ctr = ("docker", "exec", node["metadata"]["name"], "ctr", "--namespace=k8s.io", "images")
            listed = subprocess.run(
                [*ctr, "list", "--quiet"], check=True, capture_output=True, text=True
            ).stdout.split()
            source = next((name for name in listed if name.endswith(self.captions)), None)
            if source is not None:
                subprocess.run([*ctr, "tag", "--force", source, f"{source}-again"], check=True, capture_output=True)
        return other


def example(name: str, *, namespace: str, images: Images) -> list[Manifest]:
    """The manifests of an example, moved into a namespace."""
    text = (EXAMPLES / name).read_text()
    for release, image in (
        ("plimsoll/captions:0.1.0", images.captions),
        ("postgres:17", images.postgres),
        ("postgres.demo.svc", f"postgres.{namespace}.svc"),
    ):
        text = text.replace(release, image)
    manifests = list(yaml.safe_load_all(text))
    for manifest in manifests:
        if manifest["kind"] == "Namespace":
            manifest["metadata"]["name"] = namespace
        else:
            manifest["metadata"]["namespace"] = namespace
    return manifests


def pick(manifests: list[Manifest], kind: str, *, name: str = "") -> Manifest:
    """The one manifest of a kind, or of a kind and a name."""
    (found,) = [each for each in manifests if each["kind"] == kind and name in {"", each["metadata"]["name"]}]
    return found


class Stage:
    """What a test does in its namespace."""

    def __init__(self, kube: Kube, namespace: str, images: Images) -> None:
        self.kube, self.namespace, self.images = kube, namespace, images
        self._token = ""

    def service(self, name: str = "captions") -> Manifest:
        """A FastAPIService as it is now."""
        found = self.kube.get(SERVICE, name, namespace=self.namespace)
        assert found is not None, f"there is no service {name}"
        return found

    def budget(self) -> Manifest:
        """The ConnectionBudget as it is now."""
        found = self.kube.get(BUDGET, "main", namespace=self.namespace)
        assert found is not None, "there is no budget main"
        return found

    def edit(self, spec: Manifest, *, name: str = "captions") -> None:
        """Edits a service's spec."""
        self.kube.patch(SERVICE, name, {"spec": spec}, namespace=self.namespace)

    def until(self, what: str, observe: Callable[[], Any], *, within: float = 60, every: float = 0.25) -> Any:
        """``Kube.until`` about this namespace."""
        return self.kube.until(what, observe, within=within, about=self.namespace, every=every)

    def ready(self, name: str = "captions", *, within: float = SECONDS_TO_READY, every: float = 0.25) -> Manifest:
        """Waits until the latest edit of a service is rolled out."""

        def seen() -> Manifest | None:
            service = self.service(name)
            return service if condition(service)["status"] == "True" else None

        return dict(self.until(f"{name} is Ready", seen, within=within, every=every))

    def says(
        self, reason: str, words: str = "", *, name: str = "captions", kind: str = SERVICE, within: float = 60
    ) -> str:
        """Waits until an object's Ready condition has this reason and these words; its whole message."""

        def seen() -> str | None:
            now = condition(self.kube.get(kind, name, namespace=self.namespace))
            return now["message"] if now["reason"] == reason and words in now["message"] else None

        return str(self.until(f"{kind} {name} says {reason} {words}", seen, within=within))

    def claim(self, name: str = "captions") -> int:
        """What the budget's ledger holds under a service's name."""
        claims = self.budget().get("status", {}).get("claims", [])
        return sum(claim["connections"] for claim in claims if claim["name"] == name)

    def children(self, kind: str, name: str = "captions") -> dict[str, Manifest]:
        """Objects that carry a service's label, by name."""
        found = self.kube.list(kind, namespace=self.namespace, labels=f"plimsoll.dev/service={name}")
        return {each["metadata"]["name"]: each for each in found}

    def bearer(self) -> dict[str, str]:
        """The header of a request that the captions service answers: its token as users of the quickstart get it."""
        if not self._token:
            command = ("python3", "-m", "captions.token", "--subject", "e2e", "--seconds", "36000")
            self._token = self.kube.run(
                "exec", f"--namespace={self.namespace}", "deploy/captions-web", "--", *command
            ).strip()
        return {"authorization": f"Bearer {self._token}"}

    @contextlib.contextmanager
    def http(self) -> Iterator[httpx2.Client]:
        """A client of the captions service, with a token."""
        with (
            self.kube.forward(self.namespace, "captions") as url,
            httpx2.Client(base_url=url, headers=self.bearer(), timeout=30, trust_env=False) as client,
        ):
            yield client

    def sql(self, statement: str) -> str:
        """What psql prints for a statement in the database; columns are parted by ``|``."""
        psql = (
            "psql",
            "--username=captions",
            "--quiet",
            "--no-align",
            "--tuples-only",
            "--no-psqlrc",
            "-v",
            "ON_ERROR_STOP=1",
        )
        return self.kube.run(
            "exec", f"--namespace={self.namespace}", "postgres-0", "--", *psql, "-c", statement
        ).strip()


def set_up(
    kube: Kube, namespace: str, images: Images, *, change: Callable[[list[Manifest]], None] | None = None
) -> Stage:
    """Applies the quickstart and waits until it is Ready."""
    stage = Stage(kube, namespace, images)
    manifests = example("quickstart.yaml", namespace=namespace, images=images)
    if change is not None:
        change(manifests)
    kube.apply(*manifests)
    if any(manifest["kind"] == "FastAPIService" for manifest in manifests):
        stage.ready()
    return stage


def without_node_port(manifests: list[Manifest]) -> None:
    """There is one published port, and the quickstart's own namespace has it."""
    pick(manifests, "FastAPIService")["spec"]["web"].pop("service")


@contextlib.contextmanager
def staged(
    kube: Kube, namespace: str, images: Images, *, change: Callable[[list[Manifest]], None] = without_node_port
) -> Iterator[Stage]:
    """A stage that is cleared away at the end, and before, if an earlier run left it."""
    kube.delete("namespace", namespace, wait=True)
    try:
        yield set_up(kube, namespace, images, change=change)
    finally:
        kube.delete("namespace", namespace)
