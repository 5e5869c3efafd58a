"""What earlier runs know of each unit: the first pass of the next run is ordered by it."""

from __future__ import annotations

from statistics import median

from sltfleet.results.database import from_sql, translated
from sltfleet.results.store import Store
from sltfleet.wire.outcome import BAD, VERDICTS
from sltfleet.wire.spec import UnitHistory

#: Older runs say little about today's durations, and less about today's failures.
RECENT_RUNS = 5

FAILED_BEFORE, PASSED_BEFORE = 0, 2


def unit_history(store: Store, project: str, suite: str) -> dict[str, UnitHistory]:
    """Return the rank and the expected duration of every unit that one of the last runs of the suite came to a
    verdict about.

    A unit failed before when it did in the newest run that has a verdict about it. Its expected duration is the
    median over the recent runs; a `cut` attempt was not as long as the unit is, and does not count. Raises RunError.
    """
    with translated(store.path):
        rows = store.connection.execute(
            "SELECT name, run_id, outcome, end_s - start_s FROM attempts "
            "JOIN hosts ON hosts.id = host_id JOIN names ON names.id = unit_id "
            "WHERE run_id IN (SELECT run_id FROM runs WHERE project = ?1 AND suite = ?2 ORDER BY run_id DESC LIMIT ?3) "
            "AND outcome IS NOT NULL",
            (project, suite, RECENT_RUNS),
        ).fetchall()
    newest: dict[str, str] = {}
    failed: dict[str, bool] = {}
    durations: dict[str, list[float]] = {}
    for name, run_id, outcome, duration_s in rows:
        if outcome not in VERDICTS:
            continue
        unit = from_sql(name)
        durations.setdefault(unit, []).append(duration_s)
        if run_id > newest.get(unit, ""):
            newest[unit], failed[unit] = run_id, False
        if run_id == newest[unit]:
            failed[unit] = failed[unit] or outcome in BAD
    return {
        unit: UnitHistory(rank=FAILED_BEFORE if failed[unit] else PASSED_BEFORE, expected_s=round(median(times), 6))
        for unit, times in durations.items()
    }
