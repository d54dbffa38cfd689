"""A private Kubernetes API server for tests: kube-apiserver and etcd without nodes, gone at the end.

    with api_server() as api:           about two seconds; api is an `Api`
    with api_server() as api: api.own   False where the programs are missing: the cluster of $KUBECONFIG instead

The programs are those that `make` builds (on PATH, or in the cache). Everybody may do everything: who may do what is
the kind tier's matter. Of the controllers only the one runs that checks the types of admission policies.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import yaml
from support.api import Api
from support.eventually import eventually
from support.helm import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager")


@contextmanager
def api_server() -> Iterator[Api]:
    """A new API server, or the cluster of $KUBECONFIG where there are no programs for one."""
    with ExitStack() as stack:
        if missing := [name for name in _PROGRAMS if not _program(name)]:
            kubeconfig = os.environ.get("KUBECONFIG")
            if not kubeconfig:
                raise RuntimeError(f"no {', '.join(missing)} and no KUBECONFIG: `make test` builds or brings them")
            yield stack.enter_context(Api(Path(kubeconfig), own=False))
            return
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="apiserver-")))
        yield stack.enter_context(Api(_start(folder, stack), own=True))


def _program(name: str) -> str | None:
    cache = Path(os.environ.get("PLIMSOLL_CACHE", ROOT / ".cache"))
    return shutil.which(name) or shutil.which(name, path=str(cache / "bin"))


def _start(folder: Path, stack: ExitStack) -> Path:
    """Starts all three, to be stopped with ``stack``, and waits until they serve; the kubeconfig for them."""
    etcd, peers, port = (f"127.0.0.1:{each}" for each in _free_ports(3))
    certificates, token, kubeconfig = folder / "certificates", secrets.token_hex(16), folder / "kubeconfig"
    tokens = folder / "tokens"
    tokens.write_text(f'{token},test,1,"system:masters"\n')
    _run(
        stack, folder, "etcd",
        f"--data-dir={folder}/etcd", "--unsafe-no-fsync", "--log-level=error",
        f"--listen-client-urls=http://{etcd}", f"--advertise-client-urls=http://{etcd}",
        f"--listen-peer-urls=http://{peers}", f"--initial-advertise-peer-urls=http://{peers}",
        f"--initial-cluster=default=http://{peers}",
    )  # fmt: skip
    server = _run(
        stack, folder, "kube-apiserver",
        f"--etcd-servers=http://{etcd}", "--endpoint-reconciler-type=none",
        "--bind-address=127.0.0.1", f"--secure-port={port.rpartition(':')[2]}", f"--cert-dir={certificates}",
        f"--token-auth-file={tokens}", "--authorization-mode=AlwaysAllow",
        # No pod ever gets a token, but a key has to be given: its own, which it makes before it reads this one.
        f"--service-account-signing-key-file={certificates}/apiserver.key",
        f"--service-account-key-file={certificates}/apiserver.key",
        "--service-account-issuer=https://kubernetes.default.svc", "--service-cluster-ip-range=10.0.0.0/24",
    )  # fmt: skip
    authority = certificates / "apiserver.crt"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "test", "cluster": {"server": f"https://{port}", "certificate-authority": str(authority)}}
        ],
        "users": [{"name": "test", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    }
    kubeconfig.write_text(yaml.safe_dump(config))

    def ready() -> bool:
        if server.poll() is not None:
            raise RuntimeError("kube-apiserver ended:\n" + (folder / "kube-apiserver.log").read_text()[-2000:])
        try:
            with Api(kubeconfig) as api:
                return api.http.get("/readyz").status_code == 200
        except (httpx2.TransportError, OSError):  # not listening yet, or no certificate yet
            return False

    eventually(ready, within=60)
    _run(
        stack, folder, "kube-controller-manager",
        f"--kubeconfig={kubeconfig}", "--controllers=validatingadmissionpolicy-status-controller",
        "--leader-elect=false", "--secure-port=0",
    )  # fmt: skip
    return kubeconfig


def _run(stack: ExitStack, folder: Path, name: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Starts a program that ``stack`` stops."""
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen([str(_program(name)), *arguments], stdout=log, stderr=log, cwd=folder)
    stack.callback(_stop, process)
    return process


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, all different."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(probe.getsockname()[1]) for probe in probes]
