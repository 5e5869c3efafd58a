"""`python -m bench NAME [--json FILE] [--repetitions N]`: measure one benchmark, print it, keep it."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

from bench.figures import Result, as_json, lines

BENCHMARKS = ("dispatch", "overhead", "story", "occupancy", "makespan", "startup", "stealing")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench/run", description="Compare sltfleet with its peers.")
    parser.add_argument("name", choices=BENCHMARKS)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, every repetition's value")
    parser.add_argument("--repetitions", type=int, default=5, metavar="N", help="default: 5")
    arguments = parser.parse_args()
    # Only now: a benchmark that cannot be imported must not keep the others from running.
    measure = cast("Callable[[Path, int], Result]", importlib.import_module(f"bench.{arguments.name}").measure)
    machine = _machine()
    with tempfile.TemporaryDirectory(prefix="sltfleet-bench-") as folder:
        result = measure(Path(folder), max(1, arguments.repetitions))
    machine["load_after"] = os.getloadavg()[0]
    print(f"{arguments.name}: {machine}")
    print("\n".join(lines(result)))
    if arguments.json is not None:
        value = {"benchmark": arguments.name, "machine": machine, **as_json(result)}
        arguments.json.write_text(json.dumps(value, indent=1) + "\n")


def _machine() -> dict[str, object]:
    """What a reader must know to judge the figures; the load tells of other work at the same time."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "when": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
        "load_before": os.getloadavg()[0],
    }


if __name__ == "__main__":
    main()
