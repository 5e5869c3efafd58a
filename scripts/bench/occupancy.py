"""`occupancy`: how busy 16 workers are for 30 s with tests of unequal length, by the tests' own log.

60 tests that sleep: 54 of 0.2 s, 4 of 1 s, 2 of 3 s. The peer is cargo-nextest's stress mode, which begins an iteration
when the slowest test of the one before it is over.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from bench.crates import libtest_units, make_crate, occupancy, read_log
from bench.figures import Figure, Goal, Measured, Result, alternate
from bench.hosts import BenchHost, Work
from sltfleet.wire.spec import LibtestVerdict

WORKERS = 16
BUDGET_S = 30.0
DURATIONS_S = {
    **{f"quick_{number:02}": 0.2 for number in range(54)},
    **{f"slow_{number}": 1.0 for number in range(4)},
    **{f"slowest_{number}": 3.0 for number in range(2)},
}
PEER = "cargo nextest run --stress-duration 30s"


def measure(folder: Path, repetitions: int) -> Result:
    """Measure it."""
    crate = make_crate(folder / "crate", DURATIONS_S)
    host = BenchHost(folder / "host")
    log = folder / "log"
    work = Work(
        crate.binary,
        (),
        libtest_units(crate),
        WORKERS,
        BUDGET_S,
        {"SLEEPERS_LOG": str(log)},
        verdict=LibtestVerdict(),
    )

    def own_log() -> Measured:
        spans = read_log(log)
        log.unlink()
        complete = sum(span.end_s is not None for span in spans)
        return {"log": occupancy(spans, WORKERS, BUDGET_S), "tests": complete}

    def ours() -> Measured:
        run = host.run(work, seed=1)
        covered = 100.0 * run.numbers.units_covered / run.numbers.units_total
        return {**own_log(), "slots": 100.0 * run.numbers.occupancy, "covered": covered}

    def nextest() -> Measured:
        argv = ["cargo", "nextest", "run", "--offline", "--stress-duration", f"{BUDGET_S:g}s"]
        argv += ["--test-threads", str(WORKERS)]
        environment = {**os.environ, "SLEEPERS_LOG": str(log)}
        subprocess.run(argv, cwd=crate.folder, env=environment, capture_output=True, check=True)
        return own_log()

    nextest_builds(crate.folder)
    series = alternate({"sltfleet": ours, PEER: nextest}, repetitions)
    own, peer = series["sltfleet"], series[PEER]
    return Result(
        [
            Figure("occupancy by the tests' own log", "%", own["log"], {PEER: peer["log"]}, [Goal(97.0, True)]),
            Figure("occupancy by worker slots", "%", own["slots"], goals=[Goal(99.5, True)]),
            Figure("tests completed", "", own["tests"], {PEER: peer["tests"]}),
            Figure("tests covered", "%", own["covered"], goals=[Goal(100.0, True)]),
        ],
        [
            "sltfleet's units are of kind `libtest`, a process per test as with nextest",
            "the window is 30 s from the first test's start; the log leaves out what a process takes to start and end",
        ],
    )


def nextest_builds(folder: Path) -> None:
    """Let nextest build and list the suite once, so that no repetition pays for it."""
    argv = ["cargo", "nextest", "list", "--offline"]
    subprocess.run(argv, cwd=folder, capture_output=True, check=True)
