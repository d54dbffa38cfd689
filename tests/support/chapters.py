"""The chapters of the reference service, and docs/reference/service-chapters.md, which is made from them.

The list below is the one place where modules and test files are given to chapters. It cannot go stale unnoticed
(tests/unit/support/test_chapters.py): each module of the service and each of its test files stands in it, whatever it
names exists, each chapter has tests, and the committed page is what ``page`` makes.
The names of the tests themselves are read from the files.

    PYTHONPATH=tests python -m support.chapters     or `make generate`
"""

from __future__ import annotations

import ast
import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/reference/service-chapters.md"
SOURCES = ROOT / "service/src"
TEST_FOLDERS = ("tests/unit/service", "tests/integration/service", "tests/examples")


@dataclass(frozen=True, kw_only=True)
class Chapter:
    """A promise, where it is kept, and where that is tested."""

    title: str
    promise: str
    modules: tuple[str, ...]
    tests: tuple[str, ...]


U, I, X = (f"{folder}/test_" for folder in TEST_FOLDERS)  # noqa: E741 - unit, integration, examples

CHAPTERS = (
    Chapter(
        title="async or def",
        promise="Blocking work never runs on the event loop.",
        modules=("plimsoll_runtime.threads", "plimsoll_runtime.stalls"),
        tests=(f"{U}async_or_def.py", f"{U}threads.py", f"{U}stalls.py", f"{I}stalls.py"),
    ),
    Chapter(
        title="Validation at the boundary",
        promise="What comes from outside is checked before a handler runs, and what goes out is declared.",
        modules=(
            "plimsoll_runtime.incoming",
            "plimsoll_runtime.json_route",
            "plimsoll_runtime.jobs.gate",
            "plimsoll_runtime.paging",
            "captions.models",
            "captions.slides",
            "captions.routes",
            "captions.routes.reports",
            "captions.routes.users",
        ),
        tests=(f"{U}boundary.py", f"{U}slides.py", f"{I}users.py", f"{I}captions.py", f"{X}test_client.py"),
    ),
    Chapter(
        title="Dependencies",
        promise="Settings, session and user come from outside the handler, and tests can replace each.",
        modules=(
            "plimsoll_runtime.settings",
            "plimsoll_runtime.tokens",
            "plimsoll_runtime.jwks",
            "captions.deps",
            "captions.token",
        ),
        tests=(
            f"{U}settings.py",
            f"{U}tokens.py",
            f"{I}users.py",
            f"{X}test_client.py",
            "tests/unit/hack/test_secrets.py",
        ),
    ),
    Chapter(
        title="Lifespan",
        promise="One engine and one HTTP client a process, opened at the start, closed at the end; waits end in order.",
        modules=(
            "plimsoll_runtime.engine",
            "plimsoll_runtime.connecting",
            "plimsoll_runtime.client",
            "plimsoll_runtime.timeouts",
            "captions.app",
            "captions.main",
        ),
        tests=(f"{U}timeouts.py", f"{I}lifespan.py", f"{I}connections.py"),
    ),
    Chapter(
        title="Errors",
        promise="Every error is a problem document that tells a client what it may know, and no more.",
        modules=(
            "plimsoll_runtime.errors",
            "plimsoll_runtime.problems",
            "plimsoll_runtime.openapi",
            "plimsoll_runtime.failures",
            "captions.errors",
        ),
        tests=(f"{U}problems.py", f"{U}openapi.py"),
    ),
    Chapter(
        title="Observability",
        promise="One line, one trace and one set of metrics tell what became of a request, and nothing of who sent it.",
        modules=(
            "plimsoll_runtime.access",
            "plimsoll_runtime.correlation",
            "plimsoll_runtime.logs",
            "plimsoll_runtime.metrics",
            "plimsoll_runtime.observe",
            "plimsoll_runtime.outgoing",
            "plimsoll_runtime.pool",
            "plimsoll_runtime.telemetry",
            "plimsoll_runtime.tracing",
        ),
        tests=(
            f"{U}access.py",
            f"{U}discreet_logs.py",
            f"{U}metrics.py",
            f"{U}telemetry.py",
            f"{I}metrics.py",
            f"{I}tracing.py",
            f"{I}captions.py",
        ),
    ),
    Chapter(
        title="Background work",
        promise="What may not be lost is a job; what may be lost is a background task.",
        modules=(
            "plimsoll_runtime.jobs",
            "plimsoll_runtime.jobs.attempt",
            "plimsoll_runtime.jobs.child",
            "plimsoll_runtime.jobs.ledger",
            "plimsoll_runtime.jobs.model",
            "plimsoll_runtime.jobs.process",
            "plimsoll_runtime.jobs.worker",
            "captions.worker",
            "captions.ocr",
            "captions.mail",
            "captions.welcome",
            "captions.routes.jobs",
        ),
        tests=(f"{U}job_model.py", f"{I}ledger.py", f"{I}workers.py", f"{I}background_work.py", f"{I}captions.py"),
    ),
    Chapter(
        title="Limits",
        promise="Nothing that a client sends or withholds takes more than its share.",
        modules=(
            "plimsoll_runtime.limits",
            "plimsoll_runtime.protocol",
            "plimsoll_runtime.rate",
            "plimsoll_runtime.headers",
            "plimsoll_runtime.deadlines",
            "plimsoll_runtime.health",
        ),
        tests=(
            f"{U}limits.py",
            f"{U}protocol.py",
            f"{U}rate.py",
            f"{U}headers.py",
            f"{U}deadlines.py",
            f"{U}health.py",
            f"{I}limits.py",
            f"{I}connections.py",
        ),
    ),
    Chapter(
        title="Idempotency",
        promise="The same POST twice has one effect and one answer.",
        modules=("plimsoll_runtime.idempotency",),
        tests=(f"{I}idempotency.py", f"{I}repeated_posts.py"),
    ),
    Chapter(
        title="Schema",
        promise="Migrations run once, one at a time, and match the models.",
        modules=("captions.tables", "captions.migrate", "captions.migrations.env"),
        tests=(f"{I}migrate.py",),
    ),
    Chapter(
        title="Tests as examples",
        promise="Tests to copy: clients, overrides, rolled-back transactions, a random order, a true OpenAPI.",
        modules=(),
        tests=(f"{X}async_client.py", f"{X}test_client.py", f"{X}isolation.py", f"{X}contract.py"),
    ),
    Chapter(
        title="Fast",
        promise="The whole stack costs little beside the handler: `make bench-service`.",
        modules=("plimsoll_runtime.contract",),
        tests=(f"{I}bench_service.py", "tests/unit/support/test_ratios.py"),
    ),
)

CONTRACT = Chapter(
    title="The contract with the operator",
    promise="No deploy fails a request: drain, deadlines and exit codes, under our server and under others.",
    modules=(
        "plimsoll_runtime",
        "plimsoll_runtime.__main__",
        "plimsoll_runtime.adopt",
        "plimsoll_runtime.contract",
        "plimsoll_runtime.deadlines",
        "plimsoll_runtime.drain",
        "plimsoll_runtime.exits",
        "plimsoll_runtime.leaving",
        "plimsoll_runtime.server",
        "plimsoll_runtime.settings",
        "plimsoll_runtime.supervisor",
        "plimsoll_runtime.websocket",
    ),
    tests=(
        f"{U}adopt.py",
        f"{U}deadlines.py",
        f"{U}drain.py",
        f"{U}leaving.py",
        f"{U}settings.py",
        f"{U}websocket.py",
        f"{I}adopt.py",
        f"{I}adopt_how_to.py",
        f"{I}lasting.py",
        f"{I}shutdown.py",
        f"{I}supervisor.py",
    ),
)
"""What the chapters stand on; not one of them."""

HEAD = """\
# The chapters of the reference service

Generated by `make generate` from `tests/support/chapters.py` and the tests themselves; a test fails when it is out of
date. `captions` is what a team copies from, `plimsoll_runtime` is what it imports.
"""


def file_of(module: str) -> Path:
    """A module's file, whether or not it exists."""
    path = SOURCES / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def names_in(file: str) -> list[str]:
    """The names of a file's tests, without their prefix, in the file's order."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [each.name.removeprefix("test_") for each in functions if each.name.startswith("test_")]


def page() -> str:
    """docs/reference/service-chapters.md."""
    rows = ["| | chapter | promise | tests |", "|---|---|---|---|"]
    numbered = [*enumerate(CHAPTERS, 1), ("", CONTRACT)]
    for number, chapter in numbered:
        count = sum(len(names_in(file)) for file in chapter.tests)
        rows.append(f"| {number} | {chapter.title} | {chapter.promise} | {count} |")
    return (
        "\n".join([HEAD, *rows, *(line for number, chapter in numbered for line in _section(chapter, number))]) + "\n"
    )


def _section(chapter: Chapter, number: object) -> list[str]:
    lines = ["", f"## {number}. {chapter.title}" if number else f"## {chapter.title}", ""]
    if chapter.modules:
        lines += [", ".join(_link(f"`{module}`", file_of(module)) for module in chapter.modules), ""]
    for file in chapter.tests:
        lines.append(f"- {_link(f'`{file}`', ROOT / file)}")
        lines += [f"  - {name.replace('_', ' ')}" for name in names_in(file)]
    return lines


def _link(text: str, file: Path) -> str:
    return f"[{text}]({os.path.relpath(file, PAGE.parent)})"


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201 - that is what it is for
