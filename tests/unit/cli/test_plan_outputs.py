"""What a plan looks like in every format, as it was reviewed; and what holds whatever is in it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from support.builders import budget_manifest, service_manifest
from support.golden import agree_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result


def _parsed(picture: str) -> ET.Element:
    return ET.fromstring(picture)  # noqa: S314 - what was drawn here


HERE = Path(__file__).parent
EXAMPLES = HERE.parents[2] / "examples"
FORMATS = {"table": "txt", "json": "json", "markdown": "md", "svg": "svg", "html": "html"}
NUMBERS = ("--max-connections", "100")


@pytest.mark.parametrize(("output", "suffix"), FORMATS.items())
def test_the_examples_are_planned_as_they_were_reviewed(
    run: Callable[..., Result], output: str, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(EXAMPLES)
    result = run("plan", "quickstart.yaml", "over-budget.yaml", *NUMBERS, "-o", output)
    assert result.exit_code == 1
    assert result.stderr == ""
    agree_text(result.stdout, HERE / "golden" / f"examples.{suffix}")


@pytest.mark.parametrize("output", FORMATS)
def test_what_fits_ends_with_0_and_says_so_in_every_format(run: Callable[..., Result], output: str) -> None:
    result = run("plan", EXAMPLES / "quickstart.yaml", *NUMBERS, "-o", output)
    assert result.exit_code == 0
    assert "Everything fits." in result.stdout or json.loads(result.stdout)["fits"] is True
    assert "does not fit" not in result.stdout


@pytest.mark.parametrize("output", ["svg", "html", "markdown"])
@pytest.mark.parametrize("name", ["<b>&\"'</b>", "a|b", "[x](https://example.org)", "@everyone", "*_`~#"])
def test_the_name_of_another_client_is_text_and_nothing_else(
    run: Callable[..., Result], write: Callable[..., Path], output: str, name: str
) -> None:
    file = write(budget_manifest(usable=None, clients=[{"name": name, "connections": 3}]))
    text = run("plan", file, *NUMBERS, "-o", output).stdout
    if output == "markdown":
        assert name not in text
    else:
        picture = text[text.index("<svg") : text.index("</svg>") + 6]
        said = [each.text or "" for each in _parsed(picture).iter("{http://www.w3.org/2000/svg}text")]
        assert f"3 {name}" in said
        assert "<b>" not in text


@pytest.mark.parametrize("services", [0, 1, 12, 30])
@pytest.mark.parametrize("server", [20, 100, 5000])
def test_a_picture_of_any_number_of_services_stays_on_its_page(
    run: Callable[..., Result], write: Callable[..., Path], services: int, server: int
) -> None:
    many = [service_manifest(f"service-number-{each}", number=each, replicas=each) for each in range(services)]
    text = run("plan", write(budget_manifest(usable=None), *many), "--max-connections", server, "-o", "svg").stdout
    picture = _parsed(text.partition("\n")[2])
    _, _, width, height = (float(each) for each in picture.attrib["viewBox"].split())
    for mark in picture.iter():
        place = {key: float(mark.attrib.get(key, 0)) for key in ("x", "y") if mark.tag.endswith(("rect", "text"))}
        size = float(mark.attrib.get("width", "0").rstrip("%")), float(mark.attrib.get("height", "0"))
        assert 0 <= place.get("x", 0) <= place.get("x", 0) + size[0] <= width
        assert 0 <= place.get("y", 0) <= place.get("y", 0) + size[1] <= height
    for each in range(services):
        assert f">demo/service-number-{each}<" in text


def test_a_picture_and_a_page_have_a_title_and_say_in_words_what_they_show(run: Callable[..., Result]) -> None:
    page = run("plan", EXAMPLES / "quickstart.yaml", *NUMBERS, "-o", "html").stdout
    labelled = re.search(r'aria-labelledby="(\S+) (\S+)"', page)
    assert labelled
    assert all(f'id="{name}"' in page for name in labelled.groups())
    assert "Budget demo/main: 20 claimed of 86 usable, 66 free." in page
    assert '<html lang="en">' in page
    assert page.count("prefers-color-scheme:dark") == 2
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")  # it needs nothing else


def test_a_table_of_a_narrow_terminal_says_the_same(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    def words() -> set[str]:
        return set(re.findall(r"\w+", run("plan", EXAMPLES / "quickstart.yaml", *NUMBERS).stdout))

    wide = words()
    monkeypatch.setenv("COLUMNS", "60")
    assert words() >= wide - {"░"}
