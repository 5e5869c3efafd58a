"""What earlier runs know of each unit: the first pass of the next run is ordered by it, and its timeouts, its choice at
the budget's end, its quarantine and its admission by memory start from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median

from sltfleet.results.database import from_sql, translated
from sltfleet.results.speeds import host_speeds
from sltfleet.results.store import Store
from sltfleet.wire.outcome import BAD, PASS, TIMEOUT, VERDICTS
from sltfleet.wire.spec import UnitHistory

#: Older runs say little about today's durations, and less about today's failures.
RECENT_RUNS = 5

FAILED_BEFORE, PASSED_BEFORE = 0, 2


def unit_history(
    store: Store, project: str, suite: str, speeds: Mapping[str, float] | None = None
) -> dict[str, UnitHistory]:
    """Return what the last runs of the suite know of every unit that one of them came to a verdict about.

    A unit failed before when it did in the newest run that has a verdict about it. Its expected duration is the
    median over the recent runs; a `cut` attempt was not as long as the unit is, and does not count. The peak of memory
    is that of all attempts, a `cut` one included: it used that much at least. Durations are in the reference's seconds:
    multiplied by the speed of the host that they were measured on (`results.speeds`; unknown: 1). Raises RunError.
    """
    with translated(store.path):
        rows = store.connection.execute(
            "SELECT name, host, run_id, build_digest, outcome, end_s - start_s, max_rss_bytes FROM attempts "
            "JOIN hosts ON hosts.id = host_id JOIN names ON names.id = unit_id "
            "WHERE run_id IN (SELECT run_id FROM runs WHERE project = ?1 AND suite = ?2 ORDER BY run_id DESC LIMIT ?3) "
            "AND outcome IS NOT NULL ORDER BY run_id, end_s, host, attempt",
            (project, suite, RECENT_RUNS),
        ).fetchall()
    attempts: dict[str | bytes, list[_Attempt]] = {}
    for name, host, run_id, build, outcome, seconds, peak_bytes in rows:
        seconds *= (speeds or {}).get(host, 1.0)
        attempts.setdefault(name, []).append(_Attempt(run_id, build, outcome, seconds, peak_bytes))
    found = ((from_sql(name), _history_of(of_unit)) for name, of_unit in attempts.items())
    return {unit: history for unit, history in found if history is not None}


@dataclass(frozen=True)
class EarlierRuns:
    """What the fetched runs of a suite know of its units, and how fast the hosts are that they compare."""

    history: dict[str, UnitHistory] = field(default_factory=dict)
    speeds: dict[str, float] = field(default_factory=dict)


def earlier_runs(store: Store, project: str, suite: str) -> EarlierRuns:
    """Return what the suite's last runs know. Raises RunError."""
    speeds = host_speeds(store, project, suite)
    return EarlierRuns(unit_history(store, project, suite, speeds), speeds)


@dataclass(frozen=True)
class _Attempt:
    run_id: str
    build_digest: str
    outcome: str
    duration_s: float
    peak_bytes: int


@dataclass
class _Build:
    """How often a build passed and failed a unit."""

    passed: int = 0
    failed: int = 0


def _history_of(attempts: Iterable[_Attempt]) -> UnitHistory | None:
    """Return what a unit's attempts, oldest first, say of it; None where none has a verdict."""
    attempts = list(attempts)
    verdicts = [attempt for attempt in attempts if attempt.outcome in VERDICTS]
    if not verdicts:
        return None
    newest = verdicts[-1].run_id
    failed = any(attempt.outcome in BAD for attempt in verdicts if attempt.run_id == newest)
    in_time = [attempt.duration_s for attempt in verdicts if attempt.outcome != TIMEOUT]
    return UnitHistory(
        rank=FAILED_BEFORE if failed else PASSED_BEFORE,
        expected_s=round(median(attempt.duration_s for attempt in verdicts), 6),
        longest_s=round(max(in_time), 6) if in_time else None,
        flaky_rate=round(_flaky_rate(verdicts), 6),
        timeouts=_timeouts_in_a_row(verdicts),
        peak_bytes=max(attempt.peak_bytes for attempt in attempts),
    )


def _flaky_rate(verdicts: Iterable[_Attempt]) -> float:
    """Failed of all verdicts of the builds that both passed and failed the unit; 0 where none did."""
    builds: dict[str, _Build] = {}
    for attempt in verdicts:
        build = builds.setdefault(attempt.build_digest, _Build())
        build.passed += attempt.outcome == PASS
        build.failed += attempt.outcome in BAD
    both = [build for build in builds.values() if build.passed and build.failed]
    failed = sum(build.failed for build in both)
    return failed / (failed + sum(build.passed for build in both)) if both else 0.0


def _timeouts_in_a_row(verdicts: list[_Attempt]) -> int:
    count = 0
    for attempt in reversed(verdicts):
        if attempt.outcome != TIMEOUT:
            break
        count += 1
    return count
