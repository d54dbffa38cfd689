"""``python -m plimsoll_runtime serve captions.main:app`` and ``python -m plimsoll_runtime work captions.worker:jobs``.

The order of this file is its point: the handler for SIGTERM is in place before anything heavy is imported, so a pod
that is deleted while it starts goes at once, as PID 1 too, where the kernel drops signals that have no handler.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    import socket

    from plimsoll_runtime.settings import Settings


def leave(signum: int, _: object) -> None:
    """Exit at once: nothing has been opened yet, and unwinding an import could swallow an exception."""
    os._exit(128 + signum)


def main(argv: list[str] | None = None) -> int:
    """Parse, check the environment, and become a web process, a worker, or the supervisor of several."""
    arguments = _parser().parse_args(argv)
    from plimsoll_runtime import logs  # noqa: PLC0415 - after the handler, as the docstring says
    from plimsoll_runtime.errors import PlimsollError, SettingsError  # noqa: PLC0415 - likewise
    from plimsoll_runtime.exits import Exit  # noqa: PLC0415 - likewise
    from plimsoll_runtime.settings import get_settings  # noqa: PLC0415 - likewise

    try:
        settings = get_settings()
        logs.configure()
        return _serve(arguments, settings) if arguments.command == "serve" else _work(arguments, settings)
    except PlimsollError as error:
        print(f"plimsoll_runtime: {error}", file=sys.stderr)  # noqa: T201 - one sentence to a person, not a log line
        if isinstance(error, SettingsError):
            return Exit.USAGE
        if error.__cause__ is not None:
            traceback.print_exception(error.__cause__)  # it is the app's own code that failed
        return Exit.NOT_STARTED


def _parser() -> argparse.ArgumentParser:
    import argparse  # noqa: PLC0415 - as above

    parser = argparse.ArgumentParser(prog="plimsoll_runtime", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="serve an ASGI app with the contract's drain and deadlines")
    serve.add_argument("target", metavar="package.module:app")
    serve.add_argument("--fd", type=int, help="a bound socket, lent by a supervisor")
    work = commands.add_parser("work", help="run the steps of durable jobs")
    work.add_argument("target", metavar="package.module:jobs")
    for command in (serve, work):
        command.add_argument("--supervised", action="store_true", help="one of several, given by their supervisor")
    return parser


def _serve(arguments: argparse.Namespace, settings: Settings) -> int:
    from plimsoll_runtime.exits import Exit  # noqa: PLC0415 - as above

    try:
        listener = _listener(arguments.fd, settings.port)
    except OSError as error:
        print(f"plimsoll_runtime: cannot listen on port {settings.port}: {error.strerror}", file=sys.stderr)  # noqa: T201 - as above
        return Exit.NOT_STARTED
    if settings.web_concurrency > 1:
        return _supervise(arguments, settings, listener)
    from plimsoll_runtime.server import serve  # noqa: PLC0415 - a supervisor needs none of it

    _tell_metrics(arguments, settings)
    return serve(_target(arguments.target), settings=settings, listener=listener)


def _work(arguments: argparse.Namespace, settings: Settings) -> int:
    if settings.web_concurrency > 1:
        return _supervise(arguments, settings, None)
    from plimsoll_runtime.jobs.worker import work  # noqa: PLC0415 - a supervisor needs none of it

    _tell_metrics(arguments, settings)
    return work(_target(arguments.target), settings=settings)


def _tell_metrics(arguments: argparse.Namespace, settings: Settings) -> None:
    """On a port of their own, if they have one; of several processes it is their supervisor's."""
    if settings.plimsoll_metrics_port and not arguments.supervised:
        from plimsoll_runtime import metrics  # noqa: PLC0415 - as above

        metrics.serve(settings.plimsoll_metrics_port)


def _target(path: str) -> Any:  # noqa: ANN401 - an app or a registry; who uses it knows
    """What ``package.module:name`` names."""
    from pkgutil import resolve_name  # noqa: PLC0415 - as above

    from plimsoll_runtime.errors import TargetError  # noqa: PLC0415 - as above

    try:
        return resolve_name(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise TargetError(f"cannot import {path}: {error}") from error


def _listener(fd: int | None, port: int) -> socket.socket:
    """Bound, not listening: a client is refused, rather than parked, until the app has started."""
    import socket  # noqa: PLC0415 - as above

    if fd is not None:
        return socket.socket(fileno=fd)
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("0.0.0.0", port))  # noqa: S104 - a pod's own network namespace
    except OSError:
        listener.close()
        raise
    return listener


def _supervise(arguments: argparse.Namespace, settings: Settings, listener: socket.socket | None) -> int:
    from plimsoll_runtime.supervisor import Supervisor  # noqa: PLC0415 - one process per pod needs none of it

    command = [arguments.command, arguments.target]
    supervisor = Supervisor(
        command, count=settings.web_concurrency, listener=listener, metrics_port=settings.plimsoll_metrics_port
    )
    return supervisor.run()


if __name__ == "__main__":
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, leave)
    sys.exit(main())
