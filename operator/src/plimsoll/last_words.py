"""What a container printed before it failed, made fit for a condition: a few lines, no control characters, no password.

Read from pods as the API server returned them; used by ``observed`` and ``trouble``. The kubelet itself puts the end of
the log into the pod's status (``terminationMessagePolicy: FallbackToLogsOnError``), so the operator needs no right on
logs, which would be a right on the logs of everybody.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from plimsoll.api.meta import Manifest

MOST_LINES: Final = 12
LONGEST_LINE: Final = 240

_ESCAPES: Final = re.compile(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|.)")
_CONTROL: Final = re.compile(
    r"[^\S\n ]|[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
_PASSWORD: Final = re.compile(r"(://[^\s:/@]*):[^\s@]*@")
_SIGNALS: Final = {137: ", SIGKILL", 139: ", SIGSEGV", 143: ", SIGTERM"}


def last_lines(text: str) -> str:
    """The end of ``text``, bounded in lines and characters; a long line keeps its beginning, which says what it is."""
    plain = _CONTROL.sub(" ", _ESCAPES.sub("", text.replace("\r", "\n")))
    lines = [line.rstrip() for line in _PASSWORD.sub(r"\1:***@", plain).split("\n") if line.strip()]
    return "\n".join(
        line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE - 1]}…" for line in lines[-MOST_LINES:]
    )


def how_it_ended(terminated: Manifest) -> str:
    """One run of a container, in a phrase: its exit code, and why where that is known."""
    code = terminated.get("exitCode", 0)
    if terminated.get("reason") == "OOMKilled":
        return f"exit code {code}: it used more memory than its limit"
    return f"exit code {code}{_SIGNALS.get(code, '')}"


def words_of(terminated: Manifest) -> str:
    """One run of a container: how it ended, and what it printed last."""
    lines = last_lines(terminated.get("message", ""))
    return how_it_ended(terminated) + (f". Its last lines:\n{lines}" if lines else ", and it printed nothing")


def last_words(pods: Iterable[Manifest]) -> dict[str, str]:
    """Job → how its last failed pod ended. A job's pods are tried one after the other."""
    found: dict[str, tuple[str, str]] = {}
    for pod in pods:
        status, meta = pod.get("status", {}), pod["metadata"]
        job = next((each["name"] for each in meta.get("ownerReferences", []) if each["kind"] == "Job"), "")
        if status.get("phase") != "Failed" or not job:
            continue
        runs = [each.get("state", {}).get("terminated") for each in status.get("containerStatuses", [])]
        run: Manifest = next((each for each in runs if each), {})
        when = run.get("finishedAt") or status.get("startTime") or meta.get("creationTimestamp") or ""
        if status.get("reason") == "DeadlineExceeded":
            lines = last_lines(run.get("message", ""))
            said = "it took longer than migrations.timeoutSeconds" + (f". Its last lines:\n{lines}" if lines else "")
        elif run:
            said = words_of(run)
        else:
            said = last_lines(f"{status.get('reason', '')} {status.get('message', '')}") or "its pod failed"
        if (when, said) >= found.get(job, ("", "")):
            found[job] = (when, said)
    return {job: said for job, (_, said) in found.items()}
