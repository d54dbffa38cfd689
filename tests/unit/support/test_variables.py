"""The page of the environment is whole and true."""

from __future__ import annotations

import re

from plimsoll_runtime.settings import Environment
from support.chapters import ROOT, SOURCES
from support.variables import CLASSES, PAGE, meanings, page


def test_the_page_is_what_the_classes_make() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make generate`"


def test_every_class_of_settings_is_on_it() -> None:
    found = re.findall(
        r"^class (\w+)\((?:Environment|ShutdownSettings|Settings)\):",
        "\n".join(file.read_text(encoding="utf-8") for file in SOURCES.rglob("*.py")),
        re.MULTILINE,
    )
    assert sorted(found) == sorted(each.__name__ for each in CLASSES.values())
    assert all(issubclass(each, Environment) for each in CLASSES.values())


def test_every_variable_stands_there_once() -> None:
    names = [name for each in CLASSES.values() for name in meanings(each)]
    assert len(names) == len(set(names))
    text = page()
    for name in names:
        assert text.count(f"\n| `{name.upper()}` |") == 1


def test_whatever_the_documentation_says_of_the_environment_exists() -> None:
    """A variable of ours that some page names is one that the service, the operator or the command line reads."""
    read = "\n".join(
        file.read_text(encoding="utf-8").upper()
        for folder in ("service/src", "operator/src", "chart", "hack")
        for file in (ROOT / folder).rglob("*")
        if file.suffix in {".py", ".sh", ".yaml", ".env"}
    )
    for document in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for name in re.findall(r"`(PLIMSOLL_[A-Z_]+[A-Z])\b", document.read_text(encoding="utf-8")):
            assert name in read, f"{document} names {name}, which nobody reads"
