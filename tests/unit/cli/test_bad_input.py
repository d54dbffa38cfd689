"""Bad input gets one sentence: which file, which document, which field, what is wrong, and how to mend it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from plimsoll.api.kinds import KINDS
from plimsoll_cli import main
from plimsoll_cli.rules import BUDGET_RULES, SERVICE_RULES
from support.builders import budget_manifest, service_manifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result
    from plimsoll.api.meta import Manifest

BUDGET = budget_manifest(usable=None)
NUMBERS = ("--max-connections", 100)


def service(path: str, value: Any) -> Manifest:
    """A service with one field set to ``value``, or without it where that is ``...``."""
    manifest = service_manifest()
    *parents, last = path.split(".")
    node: Any = manifest
    for parent in parents:
        node = node.setdefault(parent, {})
    node[last] = value
    if value is ...:
        del node[last]
    return manifest


def budget(**spec: Any) -> Manifest:
    return budget_manifest(usable=None, **spec)


OBJECT = "document 2: FastAPIService demo/shop: "
CASES = {
    "too few": (
        service("spec.web.replicas", -1),
        f"{OBJECT}spec.web.replicas: -1 is less than 0, the least that is allowed; set it to 0 or more.",
    ),
    "too many": (
        service("spec.web.workers", 65),
        f"{OBJECT}spec.web.workers: 65 is more than 64, the most that is allowed; set it to 64 or less.",
    ),
    "text for a number": (service("spec.web.replicas", "3"), f"{OBJECT}spec.web.replicas: '3' is not a whole number."),
    "a fraction": (service("spec.web.replicas", 1.5), f"{OBJECT}spec.web.replicas: 1.5 is not a whole number."),
    "a number for text": (
        service("spec.env", [{"name": "A", "value": 5}]),
        f"{OBJECT}spec.env[0].value: 5 is not text; put it into quotes.",
    ),
    "none of a choice": (
        service("spec.whenOver", "Shrink"),
        f"{OBJECT}spec.whenOver: 'Shrink' is none of Refuse or ShrinkPool; choose one of these.",
    ),
    "a list for a mapping": (service("spec.web", []), f"{OBJECT}spec.web: [] is not a mapping of names to values."),
    "a mapping for a list": (service("spec.jobs", {}), f"{OBJECT}spec.jobs: {{}} is not a list."),
    "missing": (service("spec.image", ...), f"{OBJECT}spec.image is missing; add it."),
    "no spec": (service("spec", ...), f"{OBJECT}spec is missing; add it."),
    "missing since misspelt": (
        service("spec.database", {"budgetRefs": {"name": "main"}, "secretRef": {"name": "x"}}),
        (
            f"{OBJECT}spec.database.budgetRef is missing; spec.database.budgetRefs is not known and will be ignored;"
            " did you mean budgetRef?"
        ),
    ),
    "bad form": (
        service("spec.jobs", [{"name": "OCR", "command": ["x"]}]),
        f"{OBJECT}spec.jobs[0].name: 'OCR' is not of the form",
    ),
    "a URI for a Secret": (
        service("spec.database.secretRef", {"name": "postgresql://boss:hunter2@h/d"}),
        f"{OBJECT}spec.database.secretRef.name: the value is not of the form",
    ),
    "a password for a key": (
        service("spec.database.secretRef", {"name": "x", "key": "hunter2="}),
        "secretRef.key: the value is not of the form ^[-._a-zA-Z0-9]+$; use letters, digits, hyphens, dots and",
    ),
    "a URI for a Secret of the environment": (
        service("spec.envFrom", [{"secretRef": {"name": "postgresql://boss:hunter2@h/d"}}]),
        f"{OBJECT}spec.envFrom[0].secretRef.name: the value is not of the form",
    ),
    "a URI for a ConfigMap": (
        service("spec.envFrom", [{"configMapRef": {"name": "postgresql://boss:hunter2@h/d"}}]),
        f"{OBJECT}spec.envFrom[0].configMapRef.name: a URI is not of the form",
    ),
    "a URI for a mapping": (
        service("spec.database", "postgresql://boss:hunter2@h/d"),
        f"{OBJECT}spec.database: a URI is not a mapping",
    ),
    "a URI for a budget's Secret": (
        budget_manifest(usable=None, name="other", secretRef={"name": "postgresql://boss:hunter2@h/d"}),
        "ConnectionBudget demo/other: spec.secretRef.name: the value is not of the form",
    ),
    "a number for a name": (
        service("metadata", {"name": 12}),
        'document 2: FastAPIService: metadata.name 12 is not text; use quotes around it: "12".',
    ),
    "two at once": (
        service("spec.web", {"replicas": -1, "port": 0}),
        "-1 is less than 0, the least that is allowed; set it to 0 or more. (1 more to mend after that.)",
    ),
    "no such budget": (
        service("spec.database.budgetRef", {"name": "mian"}),
        (
            f"{OBJECT}spec.database.budgetRef names budget demo/mian, which is not in the input;"
            " did you mean demo/main? Otherwise add its manifest"
        ),
    ),
    "no such further budget": (
        service("spec.additionalDatabases", [{"name": "o", "budgetRef": {"name": "zzz"}, "secretRef": {"name": "o"}}]),
        (
            f"{OBJECT}spec.additionalDatabases[0].budgetRef names budget demo/zzz, which is not in the input;"
            " add its manifest, or use --live"
        ),
    ),
    "the same again": (BUDGET, "document 2: ConnectionBudget demo/main is in the input twice, first in "),
    "two of one name in a list": (
        service("spec.jobs", [{"name": "a", "command": ["x"]}] * 2),
        f"{OBJECT}spec.jobs: name a is there twice; give each its own.",
    ),
    "no name": (
        service("metadata", {}),
        "document 2: FastAPIService: metadata.name is missing; use lower-case letters",
    ),
    "no such name": (
        service("metadata", {"name": "A b"}),
        "document 2: FastAPIService: metadata.name 'A b' is no name",
    ),
    "no such kind": (
        {**service_manifest(), "kind": "FastApiService"},
        "document 2: kind: plimsoll.dev has no kind FastApiService; did you mean FastAPIService?",
    ),
    "no such version": (
        {**service_manifest(), "apiVersion": "plimsoll.dev/v2"},
        "document 2: apiVersion: plimsoll.dev/v2 is not known; write plimsoll.dev/v1alpha1.",
    ),
    "not YAML": ("a: [1\nb: 2\n", "not YAML: "),
    "a template": ("{{- if x }}\na: b\n", "it looks like a Helm template: helm template … | plimsoll plan -"),
    "a key twice": (
        "kind: X\nspec:\n  reserve: 1\n  reserve: 90\n",
        ": spec.reserve is there twice, the second time in line ",
    ),
    "a key twice in a list": ("kind: X\nitems:\n- a: {b: 1, c: 2, b: 1}\n", ": items[0].a.b is there twice"),
    "a list": ("- a\n", "document 2: a list, not an object with apiVersion, kind and spec; remove it."),
    "text": ("hello\n", "document 2: a piece of text, not an object"),
}


@pytest.mark.parametrize(("content", "sentence"), CASES.values(), ids=CASES)
def test_bad_input_is_one_sentence_and_2(
    run: Callable[..., Result], write: Callable[..., Path], content: Manifest | str, sentence: str
) -> None:
    file = write(BUDGET, content)
    result = run("plan", file, *NUMBERS)
    assert result.exit_code == 2
    assert result.stdout == ""
    error = result.stderr.splitlines()[-1]
    assert error.startswith(f"Error: {file}")
    assert sentence in error
    assert "hunter2" not in error


RULES = {
    "staleAfterSeconds:": budget(probeIntervalSeconds=60, staleAfterSeconds=100),
    "allowedNamespaces:": budget(allowedNamespaces={"from": "Selector"}),
    "rollout:": service("spec.rollout", {"maxSurge": 0}),
    "web: autoscaling": service("spec.web.autoscaling", {"minReplicas": 3, "maxReplicas": 2}),
    "jobs: autoscaling": service(
        "spec.jobs", [{"name": "a", "command": ["x"], "autoscaling": {"minReplicas": 3, "maxReplicas": 2}}]
    ),
    "database.pool: minSize": service("spec.database.pool", {"size": 2, "minSize": 3}),
    "web.service: nodePort": service("spec.web.service", {"nodePort": 30000}),
    "pod.tolerations:": service("spec.pod", {"tolerations": [{"value": "x"}]}),
    "envFrom:": service("spec.envFrom", [{"prefix": "A_"}]),
    "env: this name": service("spec.env", [{"name": "DB_POOL_SIZE", "value": "9"}]),
    "env: NAME_DATABASE_URL": {
        **service_manifest(
            additionalDatabases=[{"name": "my-orders", "budgetRef": {"name": "main"}, "secretRef": {"name": "o"}}],
            env=[{"name": "MY_ORDERS_DB_POOL_SIZE", "value": "9"}],
        )
    },
    "metadata.name:": service_manifest("9shop"),
}


@pytest.mark.parametrize(("start", "broken"), RULES.items(), ids=RULES)
def test_a_broken_rule_of_the_crd_is_said_in_the_crds_words(
    run: Callable[..., Result], write: Callable[..., Path], start: str, broken: Manifest
) -> None:
    words = [each for kind in KINDS for each in (*kind.rules.values(), *kind.object_rules.values())]
    (message,) = [each for each in words if each.startswith(start)]
    result = run("plan", write(broken), *NUMBERS)
    assert result.exit_code == 2
    assert message in result.stderr


def test_deadlines_that_add_up_to_too_much_are_said_with_the_sum(
    run: Callable[..., Result], write: Callable[..., Path]
) -> None:
    result = run("plan", write(service("spec.shutdown.drainSeconds", 3600)), *NUMBERS)
    assert result.exit_code == 2
    assert "= 3631 s to end, and 3600 s is the most" in result.stderr


def test_every_rule_of_the_crd_is_held_and_broken_once_above() -> None:
    for kind, known in zip(KINDS, (list(BUDGET_RULES), list(SERVICE_RULES)), strict=True):
        messages = [*kind.rules.values(), *kind.object_rules.values()]
        found = [start for message in messages for start in known if message.startswith(start)]
        assert sorted(found) == sorted(known)
        assert len(found) == len(messages)
        assert set(known) <= set(RULES)


OPTIONS = {
    "no source": ((), "Say where the server's numbers come from, by one of: --max-connections 100"),
    "two sources": ((*NUMBERS, "--live"), "by one of"),
    "no number": (("--max-connections", "secret"), "--max-connections: not a number from 1 to 262143"),
    "too large": (("--max-connections", "262144"), "--max-connections 262144: not a number from 1 to 262143"),
    "a URI for a number": (
        ("--max-connections", "postgresql://boss:topsecret@h/d"),
        "--max-connections: not a number from 1 to 262143; it looks like a URI, and --dsn takes one.",
    ),
    "a URI for one number": (
        ("--max-connections", "demo/main=postgresql://boss:topsecret@h/d"),
        "--max-connections demo/main=: not a number from 1 to 262143; it looks like a URI, and --dsn takes one.",
    ),
    "a URI for a file": (("postgresql://boss:topsecret@h/d", *NUMBERS), "one of the names is a URI"),
    "no namespace": (
        ("--max-connections", "main=100"),
        "--max-connections: main= names no namespace; write demo/main=….",
    ),
    "no such name at all": (("--dsn", "topsecret=x"), "--dsn: a budget is named with its namespace"),
    "an empty value of one": (("--max-connections", "demo/main="), "--max-connections demo/main=: not a number"),
    "an empty value": (("--max-connections", ""), "--max-connections: the value is empty; give it one."),
    "two for all": ((*NUMBERS, *NUMBERS), "--max-connections: there are two values for all budgets"),
    "two for one": (
        ("--max-connections", "demo/main=1", "--max-connections", "demo/main=2"),
        "--max-connections demo/main=…: there are two values for this budget",
    ),
    "both for all": (
        (*NUMBERS, "--dsn", "postgresql://u:secret@h/d"),
        "--max-connections and --dsn are both given for all budgets; leave one out",
    ),
    "both for one": (
        ("--max-connections", "demo/main=9", "--dsn", "demo/main=postgresql://u:secret@h/d"),
        "--max-connections and --dsn are both given for budget demo/main; leave one out.",
    ),
    "nothing of one": (("--max-connections", "demo/other=5"), "--max-connections demo/other=…: no such budget"),
    "no URI": (("--dsn", "secret@host"), "--dsn: not a PostgreSQL URI; write postgresql://"),
}


@pytest.mark.parametrize(("options", "sentence"), OPTIONS.values(), ids=OPTIONS)
def test_options_that_say_nothing_or_too_much_are_refused(
    run: Callable[..., Result], write: Callable[..., Path], options: tuple[str, ...], sentence: str
) -> None:
    result = run("plan", write(BUDGET), *options)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert "secret" not in result.stderr


def test_numbers_that_leave_one_budget_out_name_it(run: Callable[..., Result], write: Callable[..., Path]) -> None:
    file = write(BUDGET, budget_manifest(usable=None, name="orders"))
    result = run("plan", file, "--max-connections", "demo/main=100")
    assert result.exit_code == 2
    assert "nothing is said of budget demo/orders; add --max-connections demo/orders=VALUE." in result.stderr


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda folder: folder / "no.yaml", "there is no such file"),
        (lambda folder: folder, "holds no .yaml, .yml or .json file"),
        (lambda folder: _bytes(folder / "x.yaml", b"\xff\xfe\x00"), "not text in UTF-8"),
        (lambda folder: _bytes(folder / "x.yaml", b"kind: Service\n"), "no ConnectionBudget and no FastAPIService"),
    ],
)
def test_a_path_that_holds_nothing_to_plan_is_named(
    run: Callable[..., Result], tmp_path: Path, make: Callable[[Path], Path], sentence: str
) -> None:
    path = make(tmp_path)
    result = run("plan", path, *NUMBERS)
    assert result.exit_code == 2
    assert f"Error: {path}: " in result.stderr
    assert sentence in result.stderr


def test_an_unknown_field_is_a_warning_with_the_nearest_name_and_a_known_one_is_none(
    run: Callable[..., Result], write: Callable[..., Path]
) -> None:
    odd = service("spec.web", {"replica": 2, "workers": 1, "resources": {"limits": {"cpu": "1"}}})
    odd["spec"]["jobs"] = [{"name": "a", "command": ["x"], "conections": 3}]
    result = run("plan", write(BUDGET, odd), *NUMBERS, "-o", "markdown")
    assert result.exit_code == 0
    warnings = result.stderr.splitlines()
    assert sorted(each.partition("demo/shop: ")[2] for each in warnings) == [
        "spec.jobs[0].conections is not known and will be ignored; did you mean connectionsPerProcess?",
        "spec.web.replica is not known and will be ignored; did you mean replicas?",
    ]
    assert all("did you mean" in each for each in result.stdout.splitlines() if each.startswith("- Warning: "))
    assert result.stdout.count("- Warning: ") == 2


def test_a_key_twice_in_json_is_named_with_its_path_and_one_that_an_anchor_repeats_is_none(
    run: Callable[..., Result], write: Callable[..., Path]
) -> None:
    result = run("plan", write('{"kind": "X",\n\t"spec": {"reserve": 1,\n\t"reserve": 2}}'), *NUMBERS)
    assert result.exit_code == 2
    assert "spec.reserve is there twice, the second time in line 3; keep one of them." in result.stderr
    anchored = write("kind: X\na: &a {b: 1}\nc: *a\nd: {<<: *a, b: 2}\n", BUDGET)
    assert run("plan", anchored, *NUMBERS).exit_code == 0


def test_a_file_without_an_end_and_input_that_is_no_text_end_in_a_sentence(
    run: Callable[..., Result], write: Callable[..., Path]
) -> None:
    result = run("plan", "/dev/zero", *NUMBERS)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "Error: /dev/zero: more than 16 MiB, so no manifests; leave it out, or split it.\n"
    result = run("plan", "-", *NUMBERS, stdin=b"\xff")
    assert result.stderr == "Error: standard input: not text in UTF-8, so no manifest; leave it out.\n"
    assert result.exit_code == 2


@pytest.mark.parametrize("name", ["planned", "_printed"])
def test_a_fault_of_ours_is_2_and_says_no_value(
    run: Callable[..., Result], write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("secret")

    monkeypatch.setattr(main, name, broken)
    result = run("plan", write(BUDGET), *NUMBERS)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Error: This is a fault of plimsoll, please report it: KeyError in test_bad_input")
    assert "secret" not in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(("pool", "code"), [(1, 0), (100, 1)])
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_pipe_that_nobody_reads_changes_no_exit_code(
    write: Callable[..., Path], pool: int, code: int, stream: str
) -> None:
    file = write(BUDGET, service("spec.database.pool", {"size": pool, "odd": 1}))
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "plimsoll_cli", "plan", str(file), *map(str, NUMBERS)]
    streams: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, stream: writer}
    ended = subprocess.run(command, check=False, timeout=60, **streams)
    os.close(writer)
    assert ended.returncode == code
    assert b"Broken" not in (ended.stderr or b"")


def _bytes(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
