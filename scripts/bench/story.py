"""`story`: the sample suite in partitions for 30 s, 64 and 2 workers, typed as a person types it.

The peer is what was done before sltfleet (README, "Why"): as many fixed partitions as there are workers, one pass. The
workers of both are measured by the same formulas from the same kind of journal.
"""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

from bench.figures import Contestant, Figure, Goal, Measured, Result, alternate
from bench.hosts import read_events
from sltfleet.core.paths import HostPaths
from sltfleet.core.timeline import timeline_of
from sltfleet.core.utilization import utilization
from sltfleet.demo.cache import cargo_home, default_cache, keep_target, seed_target
from sltfleet.demo.project import PROJECT, make_project
from sltfleet.wire.events import AttemptFinished

#: Workers, and the occupancy that is aimed at with so many.
GOALS = {64: 99.0, 2: 99.5}
BUDGET_S = 30
SEED = 1


def measure(folder: Path, repetitions: int) -> Result:
    """Measure it."""
    host = HostPaths(str(folder / "host"), PROJECT)
    fleet = make_project(folder / "project", {"here": {"transport": "local", "root": str(folder / "host")}})
    fleet.write_text(_with_fixed_partitions(fleet.read_text()))
    files = sum(1 for _ in fleet.parent.joinpath("repo", "corpus").rglob("*.test"))
    cache = default_cache(over_ssh=False)
    if cache is not None:
        seed_target(cache, host)
    _type(fleet, "sync")
    _type(fleet, "build", "--suite", "story")
    if cache is not None:
        keep_target(cache, host, cargo_home(over_ssh=False))

    def run(workers: int, suite: str, *once: str) -> Measured:
        words = ["--workers", str(workers), "--budget", f"{BUDGET_S}s", "--seed", str(SEED), *once]
        _type(fleet, "run", "--suite", suite, *words)
        newest = max(Path(host.project_dir, "runs").iterdir(), key=lambda path: path.name)
        events = read_events(newest / "journal.jsonl")
        numbers = utilization(timeline_of(events))
        attempts = [event for event in events if isinstance(event, AttemptFinished)]
        cases = {name for event in attempts for name in (*event.passed, *(case.name for case in event.failed))}
        return {
            "occupancy": 100.0 * numbers.occupancy,
            "cpu": numbers.cpu_mean_percent or 0.0,
            "attempts": numbers.attempts,
            "verdicts": sum(len(event.passed) + len(event.failed) for event in attempts),
            "units": 100.0 * numbers.units_covered / numbers.units_total,
            "files": 100.0 * len(cases) / files,
        }

    contestants: dict[str, Contestant] = {}
    for workers in GOALS:
        contestants[_ours(workers)] = partial(run, workers, "story")
        contestants[_peer(workers)] = partial(run, workers, f"fixed-{workers}", "--once")
    series = alternate(contestants, repetitions)
    figures: list[Figure] = []
    for workers, occupancy in GOALS.items():
        own, peer = series[_ours(workers)], series[_peer(workers)]
        name = _peer(workers)
        goal = [Goal(occupancy, at_least=True)]
        figures += [
            Figure(f"occupancy, {workers} workers", "%", own["occupancy"], {name: peer["occupancy"]}, goal),
            Figure(f"host CPU, {workers} workers", "%", own["cpu"], {name: peer["cpu"]}),
            Figure(f"verdicts about files, {workers} workers", "", own["verdicts"], {name: peer["verdicts"]}),
            Figure(f"units covered, {workers} workers", "%", own["units"], {name: peer["units"]}),
            Figure(f"files covered, {workers} workers", "%", own["files"], {name: peer["files"]}, [Goal(100.0, True)]),
        ]
    return Result(
        figures,
        [
            f"{files} files, budget {BUDGET_S} s, seed {SEED}: 120 partitions again and again against one pass over as "
            "many fixed partitions as workers",
            "a pass of the peer is short here, because the sample suite is: the budget it leaves unused is the finding",
        ],
    )


def _ours(workers: int) -> str:
    return f"sltfleet, {workers} workers"


def _peer(workers: int) -> str:
    return f"one pass, {workers} fixed partitions"


def _with_fixed_partitions(fleet: str) -> str:
    """Add to a fleet.yaml, of which `story` is the last suite, the same suite with one partition per worker."""
    story = fleet[fleet.index("  story:") :]
    return fleet + "".join(
        story.replace("  story:", f"  fixed-{workers}:").replace("count: 120", f"count: {workers}") for workers in GOALS
    )


def _type(fleet: Path, verb: str, *words: str) -> None:
    """Type a command. Exit code 1 says that tests failed, as some of the sample's are meant to."""
    argv = [sys.executable, "-m", "sltfleet", verb, "--fleet", str(fleet), *words]
    done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode not in (0, 1) or (done.returncode and verb != "run"):
        raise SystemExit(f"sltfleet {verb}: {done.stdout}{done.stderr}")
