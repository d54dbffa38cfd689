"""The table of chapters is whole and true, and so is every test that the documentation names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from support.chapters import CHAPTERS, CONTRACT, PAGE, ROOT, SOURCES, TEST_FOLDERS, Chapter, file_of, names_in, page

if TYPE_CHECKING:
    from pathlib import Path

ALL = (*CHAPTERS, CONTRACT)
GENERATED = {"captions", "captions.migrations", "captions.migrations.versions"}
"""Packages that are nothing but a docstring."""


def test_the_page_is_what_the_table_makes() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make generate`"


@pytest.mark.parametrize("chapter", ALL, ids=lambda chapter: chapter.title)
def test_a_chapter_has_tests_and_names_only_what_exists(chapter: Chapter) -> None:
    assert chapter.tests
    for file in chapter.tests:
        assert (ROOT / file).is_file(), file
        assert names_in(file), f"{file} has no tests"
    for module in chapter.modules:
        assert file_of(module).is_file(), module


def test_every_module_of_the_service_belongs_to_a_chapter() -> None:
    files = {file.relative_to(SOURCES) for file in SOURCES.rglob("*.py") if "versions" not in file.parts[:-1]}
    modules = {".".join(file.with_suffix("").parts).removesuffix(".__init__") for file in files}
    assert modules - {module for chapter in ALL for module in chapter.modules} == GENERATED & modules


def test_every_test_file_of_the_service_belongs_to_a_chapter() -> None:
    files = {str(file.relative_to(ROOT)) for folder in TEST_FOLDERS for file in (ROOT / folder).glob("test_*.py")}
    assert files <= {file for chapter in ALL for file in chapter.tests}


def names() -> list[tuple[Path, str, str]]:
    found = []
    for document in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for file, name in re.findall(r"`(tests/[\w/]+\.py)::test_(\w+)`", document.read_text(encoding="utf-8")):
            found.append((document, file, name))
    return found


def test_every_test_that_the_documentation_names_exists() -> None:
    assert names()
    missing = [f"{document}: {file}::test_{name}" for document, file, name in names() if name not in names_in(file)]
    assert not missing
