"""`overhead`: what the runner itself takes while 64 workers are busy with units of 1.5 s.

Told by the runner's own samples and, independently, by /proc. The peer is `xargs -P64` with the same units: it keeps
no journal, takes no samples and ends nothing that runs too long.
"""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from bench.figures import Figure, Goal, Measured, Result, alternate
from bench.hosts import BenchHost, Work
from sltfleet.wire.events import Sample
from sltfleet.wire.spec import PartitionUnits

WORKERS = 64
UNIT_S = 1.5
BUDGET_S = 15.0
SLEEP = Path("/bin/sleep")
PEER = "xargs -P64, by /proc"

#: The start is another matter than the steady state, so the look at /proc spans from here to shortly before the end.
FIRST_LOOK_S, LAST_LOOK_S = 1.0, BUDGET_S - 1.0


@dataclass(frozen=True)
class Look:
    """What /proc said of one process: CPU time without its children, and its largest resident size."""

    at_s: float
    cpu_s: float
    rss_bytes: int


def measure(folder: Path, repetitions: int) -> Result:
    """Measure it."""
    host = BenchHost(folder / "host")
    work = Work(SLEEP, (str(UNIT_S),), PartitionUnits(10 * WORKERS), WORKERS, BUDGET_S, env={})

    def ours() -> Measured:
        looks: list[Look] = []
        run = host.run(work, seed=1, meanwhile=lambda pid: looks.extend(_looks(pid)))
        samples = [event for event in run.events if isinstance(event, Sample)]
        first, last = samples[0], samples[-1]
        return {
            "cpu": _share(looks),
            "rss": looks[-1].rss_bytes / 1e6,
            "own cpu": 100.0 * (last.runner_cpu_s - first.runner_cpu_s) / (last.t - first.t),
            "own rss": max(sample.runner_rss_bytes for sample in samples) / 1e6,
            "occupancy": 100.0 * run.numbers.occupancy,
        }

    series = alternate({"sltfleet": ours, PEER: _xargs}, repetitions)
    own, peer = series["sltfleet"], series[PEER]
    return Result(
        [
            Figure("CPU of the runner, by /proc", "%", own["cpu"], {PEER: peer["cpu"]}, [Goal(2.0)]),
            Figure("CPU of the runner, by its samples", "%", own["own cpu"], goals=[Goal(2.0)]),
            Figure("peak resident size, by /proc", "MB", own["rss"], {PEER: peer["rss"]}, [Goal(40.0)]),
            Figure("resident size, by its samples", "MB", own["own rss"], goals=[Goal(40.0)]),
            Figure("occupancy by worker slots", "%", own["occupancy"]),
        ],
        [f"100 % of CPU is one core; by /proc over {LAST_LOOK_S - FIRST_LOOK_S:g} s of a run of {BUDGET_S:g} s"],
    )


def _xargs() -> Measured:
    units = round(BUDGET_S / UNIT_S) * WORKERS
    argv = ["xargs", f"-P{WORKERS}", "-I{}", str(SLEEP), str(UNIT_S)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write("".join(f"{number}\n" for number in range(units)).encode())
        process.stdin.close()
        looks = _looks(process.pid)
    return {"cpu": _share(looks), "rss": looks[-1].rss_bytes / 1e6}


def _looks(pid: int) -> list[Look]:
    time.sleep(FIRST_LOOK_S)
    first = _look(pid)
    time.sleep(LAST_LOOK_S - FIRST_LOOK_S)
    return [first, _look(pid)]


def _look(pid: int) -> Look:
    """Read utime, stime (fields 14 and 15 of stat, see proc(5)) and VmHWM."""
    proc = Path("/proc", str(pid))
    after_name = proc.joinpath("stat").read_text().rpartition(")")[2].split()
    ticks = int(after_name[11]) + int(after_name[12])
    status = dict(line.split(":", 1) for line in proc.joinpath("status").read_text().splitlines())
    return Look(time.monotonic(), ticks / os.sysconf("SC_CLK_TCK"), int(status["VmHWM"].split()[0]) * 1024)


def _share(looks: list[Look]) -> float:
    first, last = looks
    return 100.0 * (last.cpu_s - first.cpu_s) / (last.at_s - first.at_s)
