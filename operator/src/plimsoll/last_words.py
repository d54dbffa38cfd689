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
_SECRETS: Final = (
    # Up to the last @, since a password may hold one that nobody has encoded; rather too much than a part of it.
    (re.compile(r"(://[^\s:/@]*):\S*@"), r"\1:***@"),
    (re.compile(r"([?&]\w*password=)[^\s&]*", re.IGNORECASE), r"\1***"),
    (
        re.compile(r"((?<![?&\w])\w*password[ ]*=[ ]*)('(?:[^'\\\n]|\\.)*'?|\"[^\"\n]*\"?|\S+)", re.IGNORECASE),
        r"\1***",
    ),
)
"""Passwords, in a URI, among its parameters and in a keyword string; each with what is shown instead."""

_CUT: Final = 2045
"""Bytes from which on a message may be the end of a longer one: 2048, or less by a character that was cut in two."""

_SIGNALS: Final = {137: ", SIGKILL", 139: ", SIGSEGV", 143: ", SIGTERM"}


def last_lines(text: str) -> str:
    """The end of ``text``, bounded in lines and characters; a long line keeps its beginning, which says what it is."""
    plain = _CONTROL.sub(" ", _ESCAPES.sub("", text.replace("\r", "\n")))
    for secret, shown in _SECRETS:
        plain = secret.sub(shown, plain)
    lines = [line.rstrip() for line in plain.split("\n") if line.strip()]
    return "\n".join(
        line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE - 1]}…" for line in lines[-MOST_LINES:]
    )


def printed_last(terminated: Manifest) -> str:
    """The last lines of one run of a container.

    Where the kubelet has cut them, the first begins somewhere: perhaps in a URI, where nothing tells a password any
    more.
    """
    text = terminated.get("message", "")
    if len(text.encode()) >= _CUT:
        beginning = re.match(r"[^\n]*\n" if "\n" in text else r"\S*\s*", text)
        text = text[beginning.end() :] if beginning else text
    return last_lines(text)


def how_it_ended(terminated: Manifest) -> str:
    """One run of a container, in a phrase: its exit code, and why where that is known."""
    code = terminated.get("exitCode", 0)
    if terminated.get("reason") == "OOMKilled":
        return f"exit code {code}: it used more memory than its limit"
    return f"exit code {code}{_SIGNALS.get(code, '')}"


def words_of(terminated: Manifest) -> str:
    """One run of a container: how it ended, and what it printed last."""
    lines = printed_last(terminated)
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
            lines = printed_last(run)
            said = "it took longer than migrations.timeoutSeconds" + (f". Its last lines:\n{lines}" if lines else "")
        elif run:
            said = words_of(run)
        else:
            said = last_lines(f"{status.get('reason', '')} {status.get('message', '')}") or "its pod failed"
        if (when, said) >= found.get(job, ("", "")):
            found[job] = (when, said)
    return {job: said for job, (_, said) in found.items()}
