"""What the whole stack costs: CPU of a request through it ÷ CPU of the same request on bare FastAPI.

cpu_ratio           GET /users/{id} with a token, the whole service (``apps/full``) ÷ bare FastAPI (``apps/bare``)
throughput_ratio    requests per second, likewise; only as good as the server's core is busy
empty_cpu_ratio     the same for a handler that does nothing
control_cpu_ratio   a second process of bare FastAPI ÷ the first: what the method itself makes of no difference; 1
…_cpu_us            microseconds of CPU per request
…_busy              CPU of a server ÷ time of its runs: below 0.9 somebody else was slower, and throughput says nothing
spans               that a collector in this process has got of the whole service, which traces one request in a hundred

Both answer the same bytes, which is checked for every answer, after the same look at the token and the same indexed
query. The whole service also writes a log line, counts metrics and traces. One process each, pinned to one core; this
client and PostgreSQL have the other. The runs take turns, and the turns change, so that neither is always the one that
comes after the other. CPU time is the kernel's, of the whole process. A ratio is the median over the rounds, low and
high are its 95 % confidence interval.

    PYTHONPATH=tests python -m bench.service [--rounds N] [--requests N] [--no-record]     or `make bench-service`
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import httpx2
from bench.record import FOLDER, write
from integration.service.collector import Collector
from support.hammer import Get
from support.pinned import pinned, unused_port
from support.postgres import PrivatePostgres
from support.ratios import ratio
from support.tokens import ENVIRONMENT, bearer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from support.pinned import Server

ROUNDS, REQUESTS = 24, 2000
CONNECTIONS = 8
ROWS, ASKED = 10_000, 100
DAY = 86400
MOST_CPU_RATIO = 1.15
PLOT = FOLDER / "service.svg"

FULL = ("plimsoll_runtime", "serve", "bench.apps.full:app")
BARE = ("uvicorn", "bench.apps.bare:app", "--no-access-log", "--log-level=warning", "--loop=uvloop", "--http=httptools")

TRACED = {
    "OTEL_SERVICE_NAME": "captions",
    "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
    "OTEL_TRACES_SAMPLER_ARG": "0.01",
}

Series = dict[str, list[float]]
"""What is compared, and its ratio in each round."""


Asked = dict[str, dict[str, str]]
"""Paths, and the headers that their requests have."""


def rows(postgres: PrivatePostgres) -> Asked:
    """Fill the table of users; some of them, each asked for with a token of its own."""
    postgres.execute(
        "INSERT INTO account (id, subject, email, name, age)"
        " SELECT gen_random_uuid(), 'bench-' || n, n || '@bench.example', 'Ada no. ' || n, n %% 151"
        " FROM generate_series(1, %s) n",
        ROWS,
        database="app",
    )
    postgres.execute("ANALYZE account", database="app")
    found = postgres.execute("SELECT id, subject FROM account ORDER BY id LIMIT %s", ASKED, database="app")
    return {f"/users/{number}": bearer(subject, seconds=DAY) for number, subject in found}


def expected(asked: Asked, servers: Sequence[Server]) -> list[Get]:
    """The requests with their answers, which must be the same bytes from all servers.

    Raises:
        RuntimeError: they are not.
    """
    found: dict[str, set[tuple[int, str, bytes]]] = {path: set() for path in asked}
    for server in servers:
        with httpx2.Client(base_url=f"http://127.0.0.1:{server.port}") as client:
            for path, headers in asked.items():
                answer = client.get(path, headers=headers)
                found[path].add((answer.status_code, answer.headers["content-type"], answer.content))
    for path, answers in found.items():
        if len(answers) != 1 or {status for status, _, _ in answers} != {200}:
            raise RuntimeError(f"{path} is not answered by the same bytes: {answers}")
    return [Get(path=path, body=body, headers=asked[path]) for path, answers in found.items() for _, _, body in answers]


def in_turns(servers: Sequence[Server], gets: Sequence[Get], *, rounds: int, requests: int) -> None:
    """Each server once in every round; the first of a round is not always the same, and every other runs backwards."""
    for server in servers:
        server.cpu.clear()
        server.seconds.clear()
        server.run(gets, count=requests, connections=CONNECTIONS)  # warms up
    for number in range(rounds):
        first = number // 2 % len(servers)
        turns = [*servers[first:], *servers[:first]]
        for server in turns if number % 2 else reversed(turns):
            server.measure(gets, count=requests, connections=CONNECTIONS)
        shown = ", ".join(f"{server.name} {server.cpu[-1] * 1e6:.0f} µs" for server in servers)
        print(f"round {number + 1}: CPU per request: {shown}", flush=True)


def compare(servers: Sequence[Server], asked: Asked, *, rounds: int, requests: int) -> tuple[dict[str, float], Series]:
    """The figures, and the ratios behind them."""
    full, bare, again = servers
    in_turns(servers, expected(asked, servers), rounds=rounds, requests=requests)
    series = {"cpu_ratio": over(full.cpu, bare.cpu), "control_cpu_ratio": over(again.cpu, bare.cpu)}
    found = {
        "throughput_ratio": round(ratio(over(bare.seconds, full.seconds)).value, 3),
        **{f"{each.name}_cpu_us": round(1e6 * sum(each.cpu) / rounds) for each in (full, bare)},
        **{f"{each.name}_busy": round(each.busy, 2) for each in (full, bare)},
    }
    in_turns([full, bare], expected({"/empty": {}}, [full, bare]), rounds=rounds, requests=requests)
    series["empty_cpu_ratio"] = over(full.cpu, bare.cpu)
    for name, ratios in series.items():
        found |= ratio(ratios).figures(name)
    return found, series


def over(costs: Sequence[float], to: Sequence[float]) -> list[float]:
    """Round by round: what slows a whole round down, such as a neighbour, is in both and cancels."""
    return [ours / theirs for ours, theirs in zip(costs, to, strict=True)]


def measure(*, rounds: int, requests: int) -> tuple[dict[str, float], Series]:
    """A database, three servers, and the comparison."""
    client_core, server_core = sorted(os.sched_getaffinity(0))[:2]
    os.sched_setaffinity(0, {client_core})  # and with it, all that is started from here
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="bench-service-")))
        postgres = stack.enter_context(PrivatePostgres(max_connections=5 * CONNECTIONS))
        collector = stack.enter_context(Collector())
        env = {"DATABASE_URL": postgres.url(), "DB_POOL_SIZE": str(CONNECTIONS)} | ENVIRONMENT
        migrated = subprocess.run(
            [sys.executable, "-m", "captions.migrate"],
            env=os.environ | env,
            capture_output=True,
            check=False,
            text=True,
        )
        if migrated.returncode:
            raise RuntimeError(migrated.stdout + migrated.stderr)
        asked = rows(postgres)
        servers = []
        for name, command in (("full", FULL), ("bare", BARE), ("again", BARE)):
            port = unused_port()
            own = env | {"PORT": str(port), "PGAPPNAME": name}
            if command is FULL:
                own |= TRACED | {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
            where = (f"--port={port}",) if command is BARE else ()
            server = pinned(
                name, (*command, *where), port=port, core=server_core, env=own, ready="/empty", log=folder / name
            )
            servers.append(stack.enter_context(server))
        found, series = compare(servers, asked, rounds=rounds, requests=requests)
        return found | {"spans": len(collector.spans)}, series


def plot(series: Series) -> None:
    """Each round's ratios, their median and its interval, and the most that the stack may cost."""
    import matplotlib as mpl  # noqa: PLC0415 - only a bench draws

    mpl.use("svg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - likewise

    names = {
        "cpu_ratio": "whole stack",
        "empty_cpu_ratio": "whole stack,\nempty handler",
        "control_cpu_ratio": "bare, again",
    }
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for place, name in enumerate(names):
        found = ratio(series[name])
        axes.plot([place] * len(series[name]), series[name], "o", color="#9ecae1", markersize=4)
        axes.errorbar(
            place, found.value, [[found.value - found.low], [found.high - found.value]],
            fmt="_", color="black", markersize=24, capsize=6,
        )  # fmt: skip
        axes.annotate(f"{found.value:.2f}", (place + 0.15, found.value), va="center")
    axes.axhline(1, color="grey", linewidth=0.8)
    axes.axhline(MOST_CPU_RATIO, color="#e6550d", linewidth=0.8, linestyle="--")
    axes.set(xticks=range(len(names)), ylabel="CPU per request ÷ bare FastAPI's", xlim=(-0.5, len(names) - 0.5))
    axes.set_xticklabels(names.values())
    figure.savefig(PLOT, metadata={"Date": None})


def main() -> None:
    """The bench."""
    parser = argparse.ArgumentParser(prog="bench.service")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--requests", type=int, default=REQUESTS, help="of each run")
    parser.add_argument("--no-record", action="store_true", help="print the figures, and write no file")
    options = parser.parse_args()
    found, series = measure(rounds=options.rounds, requests=options.requests)
    if options.no_record:
        print(json.dumps(found, indent=2))
        return
    plot(series)
    write("service", command="make bench-service", figures=found)
    if found["cpu_ratio"] > MOST_CPU_RATIO:
        sys.exit(f"cpu_ratio is {found['cpu_ratio']}, and is to be at most {MOST_CPU_RATIO}")


if __name__ == "__main__":
    main()
