"""The commands and their help texts, the manual. Exit codes: 0 fits, 1 would be refused, 2 it cannot be said."""

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from shutil import get_terminal_size
from typing import Annotated, NoReturn

import typer
from plimsoll.api.crd import documents
from plimsoll.api.meta import API_VERSION
from plimsoll.budget.demand import Overlap
from plimsoll.errors import Forbidden, PlimsollError

from plimsoll_cli import live
from plimsoll_cli.model import Plan
from plimsoll_cli.output import as_json, html, markdown, svg, table
from plimsoll_cli.request import DSN_VARIABLE, Request, planned
from plimsoll_cli.why import why

OVER = 1
CANNOT_SAY = 2
_PIPE_WIDTH = 120

app = typer.Typer(
    name="plimsoll",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # locals may hold a URI
    rich_markup_mode="markdown",
    help="""Keeps FastAPI services within the connections of a PostgreSQL server.

    **plan** says before a deploy what fits; **explain** says after it why something waits. Both print
    the operator's own arithmetic:

        usable = smallest limit of the server − reserve − other clients − 1 for the operator − margin
        demand = Σ workloads (replicas + maxSurge) pods × processes × (pool + overflow + extra) + migration
    """,
)


class Output(StrEnum):
    """What a plan is printed as."""

    TABLE = "table"
    JSON = "json"
    MARKDOWN = "markdown"
    SVG = "svg"
    HTML = "html"


@app.command()
def plan(  # noqa: PLR0913 - each is an option of the command line
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE|FOLDER|-",
            help="Manifests in YAML or JSON, several documents each. ConnectionBudgets, FastAPIServices and labels"
            " of Namespaces count; other kinds are skipped. - is standard input.",
            show_default=False,
        ),
    ] = None,
    *,
    max_connections: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NS/NAME=]N",
            help="The server's setting of that name, by hand; with NS/NAME= for one budget of several.",
            show_default=False,
        ),
    ] = None,
    superuser_reserved: Annotated[
        int, typer.Option(min=0, help="With --max-connections: superuser_reserved_connections.")
    ] = 3,
    reserved: Annotated[
        int, typer.Option(min=0, help="With --max-connections: reserved_connections (PostgreSQL 16 and later).")
    ] = 0,
    dsn: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NS/NAME=]URI",
            help="Asks the live server for its limits. Others can read a command line:"
            f" the environment variable {DSN_VARIABLE} does the same, with white space between several.",
            show_default=False,
        ),
    ] = None,
    live: Annotated[
        bool,
        typer.Option(
            "--live",
            help="Adds to the cluster of the current kubeconfig: its budgets, their last readings and their claims. The"
            " files are what would be changed; without files, the cluster as it is.",
        ),
    ] = False,
    overlap: Annotated[
        Overlap,
        typer.Option(case_sensitive=False, help="Counted: for an operator that runs without cluster-scoped rights."),
    ] = Overlap.GUARDED,
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Namespace of objects that name none.")
    ] = "default",
    output: Annotated[
        Output,
        typer.Option("--output", "-o", help="markdown is for a pull request's comment, svg and html for people."),
    ] = Output.TABLE,
) -> None:
    """Says what fits before anything is deployed, term by term, and the cheapest fix for what does not.

    Services are let in one after the other, in the order of the files; with --live after the claims that exist.

    Exit code: 0 everything fits, 1 something would be refused, 2 the input cannot be planned.

    For example:

        plimsoll plan deploy/ --max-connections 100
        helm template . | plimsoll plan - --live
        plimsoll plan deploy/ --dsn demo/main=postgresql://… -o markdown
    """
    with _one_sentence():
        result = planned(
            Request(
                paths=tuple(paths or ()),
                max_connections=tuple(max_connections or ()),
                superuser_reserved=superuser_reserved,
                reserved=reserved,
                dsn=tuple(dsn or ()),
                live=live,
                overlap=overlap,
                namespace=namespace,
            )
        )
        for warning in result.warnings:
            _print(f"Warning: {warning}\n", err=True)
        _print(_printed(result, output))
    raise typer.Exit(OVER if result.is_over else 0)


@app.command()
def explain(
    name: Annotated[str, typer.Argument(metavar="[NS/]NAME", help="The FastAPIService.")],
    *,
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Its namespace.")] = "default",
) -> None:
    """Says why a service of the cluster is held or not ready, and the next command to run.

    Its conditions, the arithmetic of each of its budgets, who holds what, its pods and what each may open. It takes the
    right to read FastAPIServices, ConnectionBudgets and pods, and changes nothing.

    For example:

        kubectl plimsoll explain demo/captions
    """
    home, _, plain = name.rpartition("/")
    with _one_sentence():
        scene = live.scene(home or namespace, plain)
        _print(why(scene, width=_width(), colour=sys.stdout.isatty()))


@app.command()
def crds() -> None:
    """Prints the CustomResourceDefinitions, for kubectl apply -f - and for editors that check manifests."""
    _print(documents())


@app.command()
def version() -> None:
    """Prints the version of this command and of the API that it reads."""
    try:
        number = installed("plimsoll-operator")
    except PackageNotFoundError:
        number = "from source"
    _print(f"plimsoll {number}, {API_VERSION}\n")


def _printed(result: Plan, output: Output) -> str:
    match output:
        case Output.TABLE:
            return table.text(result, width=_width(), colour=sys.stdout.isatty())
        case Output.JSON:
            return as_json.text(result)
        case Output.MARKDOWN:
            return markdown.text(result)
        case Output.SVG:
            return svg.text(result)
        case Output.HTML:
            return html.text(result)


def _width() -> int:
    return get_terminal_size((_PIPE_WIDTH, 24)).columns


def _print(text: str, *, err: bool = False) -> None:
    """Prints; that nobody reads on (``| head``) is no error, and changes no exit code."""
    stream = sys.stderr if err else sys.stdout
    try:
        typer.echo(text, nl=False, err=err)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # what is left is written there at the end


@contextmanager
def _one_sentence() -> Iterator[None]:
    """Whatever goes wrong is said in one sentence, and is never taken for a refusal."""
    try:
        yield
    except Forbidden as error:
        _fail(f"The cluster does not let you read this: {error}")
    except PlimsollError as error:
        _fail(str(error))
    except Exception as error:  # noqa: BLE001 - without its words and locals: they may hold a URI
        last = traceback.extract_tb(error.__traceback__)[-1]
        at = f"{Path(last.filename).name}, line {last.lineno}"
        _fail(f"This is a fault of plimsoll, please report it: {type(error).__name__} in {at}.")


def _fail(sentence: str) -> NoReturn:
    _print(f"Error: {sentence}\n", err=True)
    raise typer.Exit(CANNOT_SAY) from None
