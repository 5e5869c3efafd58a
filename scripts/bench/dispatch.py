"""`dispatch`: how fast attempts follow one another. 4,000 units of /bin/true, 8 workers.

sltfleet keeps a journal with the rusage of every attempt, GNU parallel a job log, xargs nothing at all.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from bench.figures import Figure, Goal, Measured, Result, alternate
from bench.hosts import BenchHost, Work
from sltfleet.wire.events import AttemptFinished, RunFinished
from sltfleet.wire.spec import PartitionUnits

UNITS = 4000
WORKERS = 8
TRUE = Path("/bin/true")
XARGS, PARALLEL = "xargs -P8", "GNU parallel -j8 --joblog"


def measure(folder: Path, repetitions: int) -> Result:
    """Measure it."""
    host = BenchHost(folder / "host")
    work = Work(TRUE, (), PartitionUnits(UNITS), WORKERS, budget_s=300.0, env={}, passes=1)
    numbers = "".join(f"{number}\n" for number in range(UNITS)).encode()

    def ours() -> Measured:
        run = host.run(work, seed=1)
        attempts = [event for event in run.events if isinstance(event, AttemptFinished)]
        passed = sum(event.outcome == "pass" and event.rusage.max_rss_bytes > 0 for event in attempts)
        if passed != UNITS:
            raise SystemExit(f"{passed} of {UNITS} units passed")
        return {
            "elapsed": run.elapsed_s,
            "clock": next(event.t for event in run.events if isinstance(event, RunFinished)),
        }

    def peer(argv: list[str]) -> Measured:
        started_s = time.monotonic()
        subprocess.run(argv, input=numbers, stdout=subprocess.DEVNULL, check=True)
        elapsed_s = time.monotonic() - started_s
        return {"elapsed": elapsed_s, "clock": elapsed_s}

    joblog = folder / "joblog"
    series = alternate(
        {
            "sltfleet": ours,
            XARGS: lambda: peer(["xargs", f"-P{WORKERS}", "-n1", str(TRUE)]),
            # --will-cite only leaves out the request for a citation.
            PARALLEL: lambda: peer(
                ["parallel", "--will-cite", f"-j{WORKERS}", "--joblog", str(joblog), str(TRUE), "{}"]
            ),
        },
        repetitions,
    )
    goals = (Goal(1.1, peer=XARGS), Goal(1 / 4.5, peer=PARALLEL))
    return Result(
        [
            Figure(
                title,
                "s",
                series["sltfleet"][key],
                {name: series[name][key] for name in (XARGS, PARALLEL)},
                goals,
            )
            for title, key in (("launch to end of the runner", "elapsed"), ("first start to end of the run", "clock"))
        ],
        ["the first figure includes what a run costs once: Python's start, snapshot, handshake, last writes"],
    )
