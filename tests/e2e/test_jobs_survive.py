"""Job workers come and go in the middle of their work: no job is lost, and none is done twice."""

from __future__ import annotations

from contextlib import suppress

import pytest
from support.audit import AUDIT, all_ended, times_done
from support.kube import KubectlError
from support.slides import slide
from support.stage import staged
from support.witness import PodWitness

LINES = 80
KILL_WORKER = """
import contextlib, os, pathlib, signal
for folder in pathlib.Path("/proc").glob("[0-9]*"):
    with contextlib.suppress(FileNotFoundError):  # what has ended since it was listed
        if b"work\\0captions.worker" in (folder / "cmdline").read_bytes() and folder.name != "1":
            os.kill(int(folder.name), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def stage(kube, images):
    with staged(kube, "e2e-jobs", images) as stage:
        stage.sql(AUDIT)
        yield stage


def post_slides(stage, number: int) -> dict[str, str]:
    """Posts slides that take a worker seconds each; job → a word of its own that its text must hold."""
    words = {}
    with stage.http() as client:
        for each in range(number):
            word = f"chapter{each}{each}"
            page = slide(
                *[f"{word} line {line} of a page that takes a while to read" for line in range(LINES)], size=32
            )
            answer = client.post("/jobs", files={"file": ("slide.png", page, "image/png")})
            assert answer.status_code == 202, answer.text
            words[answer.json()["job_id"]] = word
    return words


def working(stage) -> str | None:
    """The pod whose worker has a step in its hands."""
    return stage.sql("SELECT split_part(worker, '/', 1) FROM plimsoll_jobs.step WHERE state = 'running'") or None


def ended(stage, jobs: dict[str, str]) -> list[dict]:
    """Waits for the jobs' end, expects each to be done, once, with its own text; the jobs as their owner sees them."""
    all_ended(stage)
    with stage.http() as client:
        seen = [client.get(f"/jobs/{job}").json() for job in jobs]
    for job, word in zip(seen, jobs.values(), strict=True):
        assert job["status"] == "succeeded", job
        assert job["result"]["text"].count(word) >= LINES - 2, job
    done = times_done(stage)
    assert {job: done.get(job) for job in jobs} == dict.fromkeys(jobs, 1)
    return seen


def count(stage, was: str, state: str, worker: str, *, since: float = 0) -> int:
    """How many steps went from one state to another in the hands of a pod's worker; nodes and tests share a clock."""
    change = f"was = '{was}' AND state = '{state}' AND worker LIKE '{worker}/%'"
    return int(stage.sql(f"SELECT count(*) FROM audit WHERE {change} AND at > to_timestamp({since})"))  # noqa: S608 - our own words


def test_a_rollout_lets_a_worker_finish_the_job_in_its_hands(stage, kube, other_image):
    with PodWitness(kube, stage.namespace) as pods:
        jobs = post_slides(stage, 8)
        worker = stage.until("a worker has begun", lambda: working(stage), within=30)
        stage.edit({"image": other_image})
        stage.until("the worker is told to stop", lambda: pods.now()[worker].leaving, within=60, every=0.05)
        told = next(at for at, seen in pods.moments if seen[worker].leaving)
        stage.ready()
        seen = ended(stage, jobs)
    assert {job["attempts"] for job in seen} == {1}
    assert count(stage, "running", "ready", worker) == 0, "it handed back what it had time to finish"
    # What we hear of a pod is some hundredths of a second old.
    assert count(stage, "running", "done", worker, since=told - 0.2), "it was idle when it was told to stop"
    assert count(stage, "running", "done", worker, since=told + 0.2) <= 1, "it took another job after that"
    assert pods.most("jobs-ocr") <= 2


def test_a_worker_without_the_time_to_finish_hands_its_job_back_uncharged(stage, kube):
    stage.edit({"shutdown": {"jobDeadlineSeconds": 0}})
    stage.ready()
    jobs = post_slides(stage, 3)
    worker = stage.until("a worker has begun", lambda: working(stage), within=30)
    kube.delete("pod", worker, namespace=stage.namespace)
    assert {job["attempts"] for job in ended(stage, jobs)} == {1}
    assert count(stage, "running", "ready", worker) == 1


def test_a_worker_that_is_killed_costs_its_job_an_attempt_and_nothing_else(stage, kube):
    jobs = post_slides(stage, 3)
    worker = stage.until("a worker has begun", lambda: working(stage), within=30)
    with suppress(KubectlError):  # the container ends with its worker, and this command with the container
        kube.run("exec", f"--namespace={stage.namespace}", worker, "--", "python3", "-c", KILL_WORKER)
    attempts = sorted(job["attempts"] for job in ended(stage, jobs))
    (status,) = stage.children("pods")[worker]["status"]["containerStatuses"]
    assert status["restartCount"] == 1, "the worker was not killed"
    assert attempts == [1, 1, 2]
