"""What `make up` says when it cannot go on: one sentence with the fact and the fix, and nothing left half-made.

The real script runs, with a PATH on which some programs are missing or replaced. Nothing here needs Docker.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


class Machine:
    """A made-up machine: the programs of this one, some taken away, some replaced by scripts."""

    def __init__(self, folder: Path) -> None:
        self.cache = folder / "cache"
        self.programs = folder / "programs"
        self.programs.mkdir()
        for directory in ("/usr/sbin", "/usr/bin", "/sbin", "/bin"):
            for program in Path(directory).iterdir():
                link = self.programs / program.name
                if not link.is_symlink():
                    link.symlink_to(program)
        self.replace("docker", "exit 1")  # no engine answers
        self.replace("dockerd", "exit 1")

    def lacks(self, *names: str) -> None:
        for name in names:
            (self.programs / name).unlink(missing_ok=True)

    def replace(self, name: str, script: str) -> None:
        self.lacks(name)
        program = self.programs / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    def up(self, **settings: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": str(self.programs), "HOME": str(self.cache), "PLIMSOLL_CACHE": str(self.cache)}
        environment |= {"PLIMSOLL_PORT": str(free_port())} | settings
        return subprocess.run(
            [ROOT / "hack/up.sh"], env=environment, capture_output=True, text=True, timeout=60, check=False
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def the_error(run: subprocess.CompletedProcess[str]) -> str:
    assert run.returncode != 0
    assert run.stderr == "", "a broken step speaks once, in its own words"
    errors = [line for line in run.stdout.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, run.stdout
    return errors[0]


def test_a_taken_port_is_named_with_a_free_one_to_choose(machine: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        error = the_error(machine.up(PLIMSOLL_PORT=str(port)))
    assert f"port {port} on 127.0.0.1 is taken" in error
    assert f"process {os.getpid()}" in error
    assert f"make up PLIMSOLL_PORT={port + 1}" in error


def test_a_full_disk_is_found_before_anything_is_made(machine: Machine) -> None:
    machine.replace("df", "echo Avail; echo 2048")
    error = the_error(machine.up())
    assert "not enough disk" in error
    assert "2 GB free and this run needs 15 GB" in error
    assert sorted(path.name for path in machine.cache.iterdir()) == ["CACHEDIR.TAG", "lock", "lock.pid"]


def test_a_second_run_at_the_same_time_is_refused(machine: Machine) -> None:
    machine.cache.mkdir()
    (machine.cache / "CACHEDIR.TAG").touch()
    (machine.cache / "lock.pid").write_text("4711\n")
    with (machine.cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        error = the_error(machine.up())
    assert "another run is using" in error
    assert "process 4711" in error


def test_a_folder_that_holds_anything_else_is_not_taken_for_a_cache(machine: Machine) -> None:
    machine.cache.mkdir()
    (machine.cache / "thesis.tex").touch()
    error = the_error(machine.up())
    assert "is not empty and no cache of ours" in error
    assert [path.name for path in machine.cache.iterdir()] == ["thesis.tex"]


def test_without_apt_the_missing_engine_is_named(machine: Machine) -> None:
    machine.lacks("docker", "apt-get", "apt-cache")
    machine.replace("dnf", "exit 1")
    error = the_error(machine.up())
    assert "lacks docker.io and has no apt-get" in error
    assert '"dnf install docker.io"' in error


def test_without_root_the_command_that_installs_is_named(machine: Machine) -> None:
    machine.lacks("docker")
    machine.replace("id", "echo 1000")
    error = the_error(machine.up())
    assert "sudo apt-get install --yes docker.io" in error


def test_without_root_a_stopped_engine_is_named(machine: Machine) -> None:
    machine.replace("id", "echo 1000")
    for program in ("iptables", "jq"):
        machine.replace(program, "exit 0")
    error = the_error(machine.up())
    assert "no Docker engine answers and starting one takes root" in error


def test_an_engine_that_does_not_start_says_why(machine: Machine) -> None:
    machine.replace("id", "echo 0")
    for program in ("iptables", "jq"):
        machine.replace(program, "exit 0")
    machine.replace("dockerd", "echo 'failed to start daemon: the reason' >&2; exit 1")
    error = the_error(machine.up())
    assert "the Docker engine did not start" in error
    assert "failed to start daemon: the reason" in error


def test_an_engine_elsewhere_that_is_silent_is_named(machine: Machine) -> None:
    error = the_error(machine.up(DOCKER_HOST="tcp://192.0.2.1:2375"))
    assert "DOCKER_HOST is tcp://192.0.2.1:2375 and no engine answers there" in error


def test_an_unknown_source_of_images_is_refused(machine: Machine) -> None:
    machine.replace("docker", "echo 28.0.0")
    error = the_error(machine.up(PLIMSOLL_IMAGES="somewhere"))
    assert 'PLIMSOLL_IMAGES is "somewhere": it must be auto, registry or build' in error


def test_the_versions_file_and_the_go_module_agree() -> None:
    versions = dict(re.findall(r"^([A-Z_]+)=(\S+)", (ROOT / "hack/versions.env").read_text(), re.MULTILINE))
    module = (ROOT / "hack/node/go.mod").read_text()
    for path, name in {
        "k8s.io/kubernetes": "KUBERNETES",
        "sigs.k8s.io/kind": "KIND",
        "helm.sh/helm/v4": "HELM",
        "github.com/coredns/coredns": "COREDNS",
        "go.etcd.io/etcd/server/v3": "ETCD",
        "sigs.k8s.io/metrics-server": "METRICS_SERVER",
    }.items():
        assert f"{path} v{versions[name]}" in module
