"""From a bare machine to a served request: how long `make up` takes, cold, warm, and after `make down`.

    python tests/bench/bootstrap.py                    after a cold `make up`: takes its time from .cache/timings.json
    python tests/bench/bootstrap.py --measure          runs `make up`, `make down`, `make up`, and times them
    python tests/bench/bootstrap.py --cold             `make clean`, `make up`; with --measure the others after that

Run by hand: it takes the cluster of `make up` down. What a run does not measure is kept from the last result.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from bench.record import FOLDER, write  # noqa: E402 - found through the line above

TIMINGS = ROOT / ".cache" / "timings.json"


def seconds(target: str) -> float:
    """How long a command of the Makefile takes."""
    print(f"make {target} …", flush=True)
    began = time.monotonic()
    subprocess.run(["make", target], cwd=ROOT, check=True)
    return round(time.monotonic() - began, 1)


def main() -> None:
    """Measures what was asked for, and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--measure", action="store_true", help="run the commands instead of reading the last run's times"
    )
    parser.add_argument("--cold", action="store_true", help="begin with `make clean`")
    options = parser.parse_args()
    before = FOLDER / "bootstrap.json"
    figures = json.loads(before.read_text())["figures"] if before.exists() else {}
    if options.cold:
        seconds("clean")
        figures["cold_up_s"] = seconds("up")
        steps = json.loads(TIMINGS.read_text())  # a fresh file: nothing but the steps of this run
        figures["cold_steps_s"] = {title: took for title, took in steps.items() if title != "up"}
    elif not options.measure:
        figures["cold_up_s"] = json.loads(TIMINGS.read_text())["up"]
    if options.measure:
        figures["warm_up_s"] = seconds("up")
        figures["down_up_s"] = round(seconds("down") + seconds("up"), 1)
    command = " ".join(["python", "tests/bench/bootstrap.py", *sys.argv[1:]])
    write("bootstrap", command=command, figures=figures)


if __name__ == "__main__":
    main()
