"""Where manifests come from: files, folders and standard input, as documents that know their place.

First step of ``plan``. A sentence about a document names its file and its number, so that it can be found and mended.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import yaml
from plimsoll.errors import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from plimsoll.api.meta import Manifest

STDIN: Final = "-"
LARGEST_BYTES: Final = 16 << 20
"""Of one file: a larger one is something else, or has no end."""

_SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})


class BadInput(Terminal):
    """What was given cannot be planned: one sentence that says where, what is wrong, and how to mend it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """One object of the input, and where it was found."""

    manifest: Manifest
    place: str

    @property
    def kind(self) -> str:
        """Its kind; empty where it has none."""
        return str(self.manifest.get("kind", ""))


def documents(paths: Iterable[str]) -> tuple[Document, ...]:
    """Every object of ``paths``, in their order; of a folder, its manifests by name, without folders in it.

    Raises:
        BadInput: a path is not there, or what it holds is not YAML or JSON.
    """
    return tuple(document for path in paths for place, text in _texts(path) for document in _of_text(text, place=place))


def _texts(path: str) -> Iterator[tuple[str, str]]:
    if path == STDIN:
        yield "standard input", _text(sys.stdin.buffer, place="standard input")
        return
    if "://" in path:  # not repeated: passwords
        raise BadInput("Files and folders are named, and one of the names is a URI; --dsn takes a server's.")
    root = Path(path)
    try:
        files = sorted(each for each in root.iterdir() if each.suffix in _SUFFIXES) if root.is_dir() else [root]
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}.") from None
    if not files:
        raise BadInput(f"{path}: the folder holds no .yaml, .yml or .json file; name the one that does.")
    for file in files:
        try:
            with file.open("rb") as stream:
                yield str(file), _text(stream, place=str(file))
        except FileNotFoundError:
            raise BadInput(f"{file}: there is no such file; correct the path, or use - for standard input.") from None
        except OSError as error:
            raise BadInput(f"{file}: cannot be read: {error.strerror}.") from None


def _text(stream: BinaryIO, *, place: str) -> str:
    content = stream.read(LARGEST_BYTES + 1)
    if len(content) > LARGEST_BYTES:
        raise BadInput(f"{place}: more than {LARGEST_BYTES >> 20} MiB, so no manifests; leave it out, or split it.")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise BadInput(f"{place}: not text in UTF-8, so no manifest; leave it out.") from None


def _of_text(text: str, *, place: str) -> Iterator[Document]:
    for number, content in enumerate(_parsed(text, place=place), start=1):
        where = f"{place}, document {number}"
        if content is None:
            continue
        if not isinstance(content, dict):
            raise BadInput(f"{where}: a {_named(content)}, not an object with apiVersion, kind and spec; remove it.")
        yield from _items(content, place=where)


def _items(content: Manifest, *, place: str) -> Iterator[Document]:
    """The object itself, or what ``kubectl get -o yaml`` puts into a List."""
    if not str(content.get("kind", "")).endswith("List") or not isinstance(content.get("items"), list):
        yield Document(manifest=content, place=place)
        return
    for number, item in enumerate(content["items"], start=1):
        if isinstance(item, dict):
            yield Document(manifest=item, place=f"{place}, item {number}")


def _parsed(text: str, *, place: str) -> list[Any]:
    if text.lstrip().startswith("{"):  # YAML takes most of JSON, but not its tabs
        try:
            return [json.loads(text, object_pairs_hook=_once)]
        except _Twice:
            text = text.replace("\t", " ")  # YAML says where
        except (ValueError, RecursionError):
            pass  # several documents, or a flow mapping: YAML says what is wrong with it
    try:
        return list(yaml.load_all(text, _Loader))
    except _Twice as error:
        raise BadInput(f"{place}: {error}; keep one of them.") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        at = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        fix = "correct it there"
        if "{{" in text:
            fix = "it looks like a Helm template: helm template … | plimsoll plan -"
        raise BadInput(f"{place}: not YAML: {error.problem or error.context}{at}; {fix}.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadInput(f"{place}: not YAML: {' '.join(str(error).split())}.") from None


class _Twice(Exception):  # noqa: N818 - says what it is
    """A mapping has a key twice, of which every parser drops one without a word."""


class _Loader(yaml.SafeLoader):
    def construct_document(self, node: yaml.Node) -> Any:  # noqa: ANN401 - any YAML value
        _check_keys(node, path="", seen=set())
        return super().construct_document(node)


def _check_keys(node: yaml.Node, *, path: str, seen: set[int]) -> None:
    if id(node) in seen:  # an anchor's, or itself
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _check_keys(item, path=f"{path}[{index}]", seen=seen)
    if isinstance(node, yaml.MappingNode):
        keys = set()
        for key, value in node.value:
            where = f"{path}.{key.value}".lstrip(".") if isinstance(key, yaml.ScalarNode) else path
            if isinstance(key, yaml.ScalarNode):
                if key.value in keys:
                    raise _Twice(f"{where} is there twice, the second time in line {key.start_mark.line + 1}")
                keys.add(key.value)
            _check_keys(value, path=where, seen=seen)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _Twice
    return found


def _named(content: object) -> str:
    return {list: "list", str: "piece of text", bool: "truth value"}.get(type(content), "number")
