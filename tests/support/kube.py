"""kubectl, thinly wrapped: manifests go in and come out, and every wait is for something seen, with a deadline.

kube = Kube()                          the cluster of $KUBECONFIG
kube.apply(manifest, …)                as a user does, with `kubectl apply`
kube.until("…", observe, within=30)    polls until observe() is truthy; too late, it tells the cluster's story
kube.http("demo", "captions")          an HTTP client of a Service, through the API server's proxy
kube.forward("demo", "captions")       its URL from here, for requests with a token of their own
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import ssl
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import httpx2
import yaml
from support.story import tell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")
Manifest = dict[str, Any]


class KubectlError(Exception):
    """kubectl ended with an error; the message is what it said."""


class Kube:
    """One cluster."""

    def __init__(self, kubeconfig: Path | None = None) -> None:
        self.kubeconfig = kubeconfig or Path(os.environ["KUBECONFIG"])
        self.environment = os.environ | {"KUBECONFIG": str(self.kubeconfig)}

    def run(self, *arguments: str, stdin: str | None = None, seconds: float = 60, ok: tuple[int, ...] = (0,)) -> str:
        """``kubectl …``; its output, where it ends with one of the codes ``ok``."""
        try:
            done = subprocess.run(
                ["kubectl", *arguments],
                input=stdin,
                capture_output=True,
                text=True,
                check=False,
                env=self.environment,
                timeout=seconds,
            )
        except subprocess.TimeoutExpired:
            raise KubectlError(f"kubectl {' '.join(arguments)}: no answer within {seconds} s") from None
        if done.returncode not in ok:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def start(self, *arguments: str, stdin: int | None = subprocess.DEVNULL) -> subprocess.Popen[str]:
        """``kubectl …`` that goes on until it is ended; its output is a pipe."""
        return subprocess.Popen(
            ["kubectl", *arguments],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment,
        )

    # ---- objects

    def apply(self, *manifests: Manifest) -> str:
        """``kubectl apply``."""
        return self.run("apply", "--filename", "-", stdin=yaml.safe_dump_all(manifests))

    def get(self, kind: str, name: str, *, namespace: str | None = None) -> Manifest | None:
        """One object, or none."""
        found = self.run("get", kind, name, "--ignore-not-found", "--output=json", *_in(namespace))
        return dict(json.loads(found)) if found else None

    def list(self, kind: str, *, namespace: str | None = None, labels: str = "") -> list[Manifest]:
        """All objects of a kind (or kinds, with commas) in a namespace, or in all."""
        where = _in(namespace) or ("--all-namespaces",)
        found = self.run("get", kind, "--output=json", f"--selector={labels}", *where)
        return list(json.loads(found)["items"])

    def patch(self, kind: str, name: str, change: Manifest, *, namespace: str | None = None) -> None:
        """Merges a change into an object, as an edit does."""
        self.run("patch", kind, name, "--type=merge", "--patch", json.dumps(change), *_in(namespace))

    def delete(
        self, kind: str, name: str, *, namespace: str | None = None, now: bool = False, wait: bool = False
    ) -> None:
        """Deletes an object, if it is there. ``now`` is without any grace."""
        force = ("--force", "--grace-period=0") if now else ()
        waiting = f"--wait={str(wait).lower()}"
        self.run("delete", kind, name, "--ignore-not-found", waiting, *force, *_in(namespace), seconds=180)

    def until(
        self,
        what: str,
        observe: Callable[[], T | None],
        *,
        within: float,
        about: str | None = None,
        every: float = 0.25,
    ) -> T:
        """The first truthy observation.

        Raises:
            AssertionError: there was none within that many seconds; tells what the namespace ``about`` looks like.
        """
        deadline = time.monotonic() + within
        while True:
            seen = observe()
            if seen:
                return seen
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {within:g} s: {what}\nlast seen: {seen!r}\n{tell(self.run, about)}")
            time.sleep(every)

    # ---- HTTP

    @contextlib.contextmanager
    def http(self, namespace: str, service: str, *, port: str = "http") -> Iterator[httpx2.Client]:
        """An HTTP client of a Service inside the cluster. The API server forwards each request to a ready pod.

        It takes Authorization headers for its own and passes none of them on: ``forward`` does.
        """
        config = yaml.safe_load(self.kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        context = ssl.create_default_context(cadata=_decoded(cluster["certificate-authority-data"]))
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as pair:
            pair.write(_decoded(user["client-certificate-data"]) + _decoded(user["client-key-data"]))
            pair.flush()
            context.load_cert_chain(pair.name)
        url = f"{cluster['server']}/api/v1/namespaces/{namespace}/services/{service}:{port}/proxy/"
        with httpx2.Client(base_url=url, verify=context, timeout=30, trust_env=False) as client:
            yield client

    @contextlib.contextmanager
    def forward(self, namespace: str, service: str, *, port: str = "http") -> Iterator[str]:
        """The URL of one pod of a Service, by ``kubectl port-forward``."""
        with self.start("port-forward", f"--namespace={namespace}", f"service/{service}", f":{port}") as process:
            try:
                assert process.stdout is not None
                said = process.stdout.readline()  # its end, if kubectl cannot
                found = re.match(r"Forwarding from (127\.0\.0\.1:\d+) ", said)
                if found is None:
                    raise KubectlError(f"kubectl port-forward service/{service}: {said.strip()}")
                yield f"http://{found[1]}"
            finally:
                process.terminate()


def condition(manifest: Manifest | None, kind: str = "Ready") -> dict[str, Any]:
    """A condition of an object, if it is about the object's present generation; else nothing but blanks."""
    blank = {"status": "", "reason": "", "message": ""}
    if manifest is None:
        return blank
    for each in manifest.get("status", {}).get("conditions", []):
        if each["type"] == kind and each.get("observedGeneration") == manifest["metadata"]["generation"]:
            return dict(each)
    return blank


def _in(namespace: str | None) -> tuple[str, ...]:
    return (f"--namespace={namespace}",) if namespace else ()


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode()
