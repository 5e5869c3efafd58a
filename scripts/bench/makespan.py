"""`makespan`: how long one pass takes when durations are skewed and known. 8 workers.

The lower bound is max(longest, total / workers): no schedule can be faster. Peers: cargo-nextest, xargs in the same
order (longest first) and in a random one, and pytest-xdist's worksteal as a simulated schedule without any overhead.
"""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Sequence
from pathlib import Path

from bench.crates import libtest_units, make_crate, makespan, read_log, unit_id
from bench.figures import Figure, Goal, Measured, Result, alternate
from bench.hosts import BenchHost, Work
from bench.occupancy import nextest_builds
from sltfleet.wire.spec import LibtestVerdict, UnitHistory

WORKERS = 8
SEED = 1
NEXTEST, SAME, RANDOM = "cargo nextest run", "xargs -P8, longest first", "xargs -P8, random order"
STEAL = "worksteal, simulated"

#: A worker that steals takes so much of the victim's queue, and a queue this short is left alone (pytest-xdist).
STEAL_SHARE, STEAL_LEAVES = 2, 2


def durations_s() -> dict[str, float]:
    """Return 100 tests, many short and few long: log-normal (median 0.25 s), one of 4 s, names in random order."""
    chance = random.Random(SEED)
    values = [min(3.0, chance.lognormvariate(-1.4, 0.8)) for _ in range(97)] + [4.0, 3.0, 2.0]
    chance.shuffle(values)
    return {f"test_{number:03}": round(max(0.05, value), 3) for number, value in enumerate(values)}


def lower_bound_s(values: Sequence[float], workers: int) -> float:
    """Return the time below which no schedule can be."""
    return max(*values, sum(values) / workers)


def worksteal_s(values: Sequence[float], workers: int) -> float:
    """Return the makespan of work stealing: equal shares at first, then half of the longest queue.

    The rule is that of pytest-xdist's `--dist worksteal`: shares are consecutive, in the order of collection, and an
    idle worker takes the second half of the longest queue. Costs of its messages are left out.
    """
    queues = [
        list(values[index * len(values) // workers : (index + 1) * len(values) // workers]) for index in range(workers)
    ]
    free_at = [0.0] * workers
    end_s = 0.0
    idle: set[int] = set()
    while len(idle) < workers:
        worker = min((index for index in range(workers) if index not in idle), key=lambda index: free_at[index])
        queue = queues[worker]
        if not queue:
            victim = max(range(workers), key=lambda index: len(queues[index]))
            if len(queues[victim]) < STEAL_LEAVES:
                idle.add(worker)
                continue
            keep = len(queues[victim]) - len(queues[victim]) // STEAL_SHARE
            queues[victim], queue[:] = queues[victim][:keep], queues[victim][keep:]
        free_at[worker] += queue.pop(0)
        end_s = max(end_s, free_at[worker])
    return end_s


def measure(folder: Path, repetitions: int) -> Result:
    """Measure it."""
    durations = durations_s()
    bound_s = lower_bound_s(list(durations.values()), WORKERS)
    crate = make_crate(folder / "crate", durations)
    host = BenchHost(folder / "host")
    log = folder / "log"
    environment = {**os.environ, "SLEEPERS_LOG": str(log)}
    longest_first = sorted(durations, key=lambda name: -durations[name])
    chance = random.Random(SEED)

    def own_log() -> Measured:
        spans = read_log(log)
        log.unlink()
        if len(spans) != len(durations):
            raise SystemExit(f"{len(spans)} of {len(durations)} tests ran")
        return {"x": makespan(spans) / bound_s}

    def ours() -> Measured:
        history = {unit_id(name): UnitHistory(rank=2, expected_s=seconds) for name, seconds in durations.items()}
        work = Work(
            crate.binary,
            (),
            libtest_units(crate),
            WORKERS,
            60.0 + bound_s,
            {"SLEEPERS_LOG": str(log)},
            passes=1,
            history=history,
            verdict=LibtestVerdict(),
        )
        host.run(work, seed=SEED)
        return own_log()

    def nextest() -> Measured:
        argv = ["cargo", "nextest", "run", "--offline", "--test-threads", str(WORKERS)]
        subprocess.run(argv, cwd=crate.folder, env=environment, capture_output=True, check=True)
        return own_log()

    def xargs(order: Sequence[str]) -> Measured:
        argv = ["xargs", f"-P{WORKERS}", "-n1", str(crate.binary), "--exact"]
        names = "".join(f"{name}\n" for name in order).encode()
        subprocess.run(argv, input=names, env=environment, stdout=subprocess.DEVNULL, check=True)
        return own_log()

    nextest_builds(crate.folder)
    contestants = {
        "sltfleet": ours,
        NEXTEST: nextest,
        SAME: lambda: xargs(longest_first),
        RANDOM: lambda: xargs(chance.sample(longest_first, len(longest_first))),
        STEAL: lambda: {"x": worksteal_s(list(durations.values()), WORKERS) / bound_s},
    }
    series = alternate(contestants, repetitions)
    peers = {name: series[name]["x"] for name in contestants if name != "sltfleet"}
    return Result(
        [Figure("first start to last end / lower bound", "x", series["sltfleet"]["x"], peers, [Goal(1.03)])],
        [
            f"100 tests, {sum(durations.values()):.1f} s in all, the longest {max(durations.values()):g} s: the lower "
            f"bound is {bound_s:.2f} s; by the tests' own log",
            "nextest takes the tests in the order of their names, which says nothing of their durations here",
        ],
    )
