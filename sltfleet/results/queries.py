"""What a person wants to know of the runs, asked of the results database.

`cut` and `infra` are no verdicts: they never count for or against a unit or a case. A unit that is a share (`K/N`) is
never called flaky itself, since what is in a share changes with the seed of each pass; its cases are.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from statistics import median

from sltfleet.core.errors import RunError
from sltfleet.core.summary import summarize
from sltfleet.core.timeline import FinishedAttempt, Timeline, UnfinishedAttempt, WorkerLife
from sltfleet.core.utilization import Utilization, utilization
from sltfleet.results.attempts import explained
from sltfleet.results.causes import causes
from sltfleet.results.database import from_sql, sql_words
from sltfleet.results.model import FailingCase, Flaky, HostRun, LeftBehind, QuarantinedUnit, RunReport, SlowUnit
from sltfleet.results.rows import read_samples
from sltfleet.results.shared import shared_run
from sltfleet.results.store import Store
from sltfleet.wire.coverage import Coverage, is_share
from sltfleet.wire.outcome import BAD, PASS, VERDICTS
from sltfleet.wire.quarantine import IN_QUARANTINE, OUT_OF_QUARANTINE, quarantine_from_text

#: So many of the slowest units are worth a line.
SLOWEST = 10

#: Notes that have a table of their own. A unit's name may be stored as bytes.
_ABOUT_QUARANTINE = f"(CAST(text AS TEXT) LIKE '{IN_QUARANTINE}%' OR CAST(text AS TEXT) LIKE '{OUT_OF_QUARANTINE}%')"

#: So many notes of a host are shown; a runner in trouble may write thousands.
MAX_NOTES = 20


def run_report(store: Store, run_id: str, only_hosts: Sequence[str] = ()) -> RunReport:
    """Return everything about one run, or about its part on `only_hosts`. Raises RunError where that is not in the
    database.
    """
    with store.snapshot(only_hosts):
        row = store.connection.execute(
            "SELECT project, suite, seed, once FROM runs WHERE run_id = ?", (run_id,)
        ).fetchone()
        if row is None:
            raise RunError(f"nothing of run {run_id} has been fetched", fix=f"`sltfleet fetch --run {run_id}`")
        hosts = host_runs(store, run_id)
        if not hosts:
            raise RunError(
                f"nothing of run {run_id} has been fetched from {', '.join(only_hosts)}",
                fix=f"`sltfleet fetch --run {run_id}`, or leave out --host and --tag",
            )
        total, covered, cases = _coverage(store, run_id)
        return RunReport(
            run_id=run_id,
            project=from_sql(row[0]),
            suite=from_sql(row[1]),
            seed=row[2],
            once=bool(row[3]),
            summary=summarize(
                [host.utilization for host in hosts], units_total=total, units_covered=covered, cases_covered=cases
            ),
            hosts=hosts,
            causes=causes(store, run_id),
            failing=failing_cases(store, run_id),
            flaky=flaky(store, run_id),
            slowest=slowest_units(store, run_id),
            quarantined=quarantined_units(store, run_id),
            shared=shared_run(store, run_id, total),
        )


def host_runs(store: Store, run_id: str) -> tuple[HostRun, ...]:
    """Return the run on each of its hosts, by name."""
    rows = store.connection.execute(
        "SELECT id, host, wall_s, build_digest, commit_id, dirty_digest, toolchain, damage, "
        "(SELECT COUNT(*) FROM attempts WHERE host_id = hosts.id AND outcome IS NULL), "
        "(SELECT COALESCE(SUM(cases_passed), 0) FROM attempts WHERE host_id = hosts.id), "
        "(SELECT COALESCE(SUM(cases_failed), 0) FROM attempts WHERE host_id = hosts.id) "
        "FROM hosts WHERE run_id = ? ORDER BY host",
        (run_id,),
    ).fetchall()
    return tuple(
        HostRun(
            host=host,
            wall_s=wall_s,
            build_digest=from_sql(build),
            commit=from_sql(commit),
            dirty_digest=from_sql(dirty),
            toolchain=from_sql(toolchain),
            cases_passed=passed,
            cases_failed=failed,
            unfinished=unfinished,
            damage=damage,
            notes=_notes(store, host_id),
            left_behind=_left_behind(store, host_id),
            utilization=host_utilization(store, host_id),
        )
        for host_id, host, wall_s, build, commit, dirty, toolchain, damage, unfinished, passed, failed in rows
    )


def host_utilization(store: Store, host_id: int) -> Utilization:
    """Return the numbers of a run on one host: those of its journal's timeline."""
    return utilization(timeline(store, host_id))


def timeline(store: Store, host_id: int) -> Timeline:
    """Return the timeline of a run on one host, the same as `core.timeline.timeline_of` makes of its journal."""
    ask = store.connection.execute
    workers, cores, budget_s, last_s, reason, share_units, units = ask(
        "SELECT workers, cores, budget_s, last_s, reason, share_units, "
        "(SELECT COUNT(*) FROM host_units WHERE host_id = hosts.id) FROM hosts WHERE id = ?",
        (host_id,),
    ).fetchone()
    attempts = ask(
        "SELECT attempt, worker, name, start_s, end_s, outcome, cases_passed + cases_failed, cpu_s, seed "
        "FROM attempts JOIN names ON names.id = unit_id WHERE host_id = ? ORDER BY COALESCE(end_s, start_s), attempt",
        (host_id,),
    ).fetchall()
    lives = ask("SELECT worker, start_s, stop_s FROM workers WHERE host_id = ?", (host_id,)).fetchall()
    ends = ask("SELECT pass_number, end_s FROM pass_ends WHERE host_id = ?", (host_id,)).fetchall()
    return Timeline(
        workers=workers,
        cores=cores,
        budget_s=budget_s,
        units_total=units,
        share_units=share_units,
        finished=[FinishedAttempt(a[0], a[1], from_sql(a[2]), *a[3:]) for a in attempts if a[5] is not None],
        unfinished=[UnfinishedAttempt(a[0], a[1], from_sql(a[2]), a[3]) for a in attempts if a[5] is None],
        lives={worker: WorkerLife(start_s, stop_s) for worker, start_s, stop_s in lives},
        pass_ends=dict(ends),
        samples=read_samples(store.connection, host_id),
        last_s=last_s,
        reason=None if reason is None else from_sql(reason),
    )


def failing_cases(store: Store, run_id: str) -> tuple[FailingCase, ...]:
    """Return the cases that failed in a run, those with most failures first, then by name."""
    rows = store.connection.execute(
        "SELECT case_id, names.name, units.name, failures.message, hosts.host, attempts.output_path "
        "FROM failures JOIN hosts ON hosts.id = failures.host_id "
        "JOIN attempts ON attempts.host_id = failures.host_id AND attempts.attempt = failures.attempt "
        "JOIN names ON names.id = case_id JOIN names AS units ON units.id = attempts.unit_id "
        "WHERE run_id = ? ORDER BY attempts.end_s, hosts.host",
        (run_id,),
    ).fetchall()
    passed = dict(
        store.connection.execute(
            "SELECT case_id, SUM(count) FROM case_passes JOIN hosts ON hosts.id = host_id WHERE run_id = ? "
            "GROUP BY case_id",
            (run_id,),
        ).fetchall()
    )
    grouped: dict[int, list[tuple[str | bytes, ...]]] = {}
    for case_id, *rest in rows:
        grouped.setdefault(case_id, []).append(tuple(rest))
    found = [_failing(failures, passed.get(case_id, 0)) for case_id, failures in grouped.items()]
    return tuple(sorted(found, key=lambda case: (-case.failed, case.case)))


def _failing(failures: Sequence[tuple[str | bytes, ...]], passed: int) -> FailingCase:
    texts = [tuple(from_sql(value) for value in failure) for failure in failures]
    case, unit, _, host, output = texts[0]
    return FailingCase(
        case=case,
        unit=unit,
        message=next((message for _, _, message, _, _ in texts if message), ""),
        failed=len(texts),
        passed=passed,
        hosts=tuple(sorted({host for _, _, _, host, _ in texts})),
        output=f"{host}/{output}" if output else "",
    )


def flaky(store: Store, run_id: str | None = None) -> tuple[Flaky, ...]:
    """Return what the same build both passed and failed, in one run or (None) in all of them; most failures first.

    A case that has its unit's name, or a path that ends in it, says nothing beyond the unit and is left out.
    """
    units = [unit for unit in _flaky_units(store, run_id) if not is_share(unit.name)]
    names = {unit.name for unit in units}
    cases = [
        case
        for case in _flaky_cases(store, run_id)
        if case.name not in names and not any(case.name.endswith("/" + name) for name in names)
    ]
    return explained(store, sorted(units + cases, key=lambda found: (-found.failed, found.name)), run_id)


def _flaky_units(store: Store, run_id: str | None) -> list[Flaky]:
    bad = sql_words(BAD)
    rows = store.connection.execute(
        f"SELECT name, build_digest, SUM(outcome = '{PASS}'), SUM(outcome IN {bad}), "
        f"json_group_array(DISTINCT CASE WHEN outcome IN {bad} THEN host END), "
        f"MAX(CASE WHEN outcome IN {bad} THEN message ELSE '' END) "
        "FROM attempts JOIN hosts ON hosts.id = host_id JOIN names ON names.id = unit_id "
        "WHERE ?1 IS NULL OR run_id = ?1 GROUP BY project, suite, build_digest, unit_id "
        f"HAVING SUM(outcome = '{PASS}') > 0 AND SUM(outcome IN {bad}) > 0",
        (run_id,),
    ).fetchall()
    return [_flaky("unit", row) for row in rows]


def _flaky_cases(store: Store, run_id: str | None) -> list[Flaky]:
    rows = store.connection.execute(
        "WITH failed AS (SELECT project, suite, build_digest, case_id, COUNT(*) AS failed, "
        "  json_group_array(DISTINCT host) AS hosts, MAX(message) AS message "
        "  FROM failures JOIN hosts ON hosts.id = host_id WHERE ?1 IS NULL OR run_id = ?1 GROUP BY 1, 2, 3, 4), "
        "passed AS (SELECT project, suite, build_digest, case_id, SUM(count) AS passed "
        "  FROM case_passes JOIN hosts ON hosts.id = host_id WHERE ?1 IS NULL OR run_id = ?1 GROUP BY 1, 2, 3, 4) "
        "SELECT name, build_digest, passed, failed, hosts, message "
        "FROM failed JOIN passed USING (project, suite, build_digest, case_id) JOIN names ON names.id = case_id",
        (run_id,),
    ).fetchall()
    return [_flaky("case", row) for row in rows]


def _flaky(kind: str, row: tuple[str, str, int, int, str, str]) -> Flaky:
    name, build, passed, failed, hosts, message = row
    return Flaky(
        kind=kind,
        name=from_sql(name),
        build_digest=from_sql(build),
        passed=passed,
        failed=failed,
        hosts=tuple(sorted(host for host in json.loads(hosts) if host is not None)),
        message=from_sql(message),
    )


def slowest_units(store: Store, run_id: str, limit: int = SLOWEST) -> tuple[SlowUnit, ...]:
    """Return the units with the longest median duration, attempts with a verdict only."""
    rows = store.connection.execute(
        "SELECT name, end_s - start_s FROM attempts JOIN hosts ON hosts.id = host_id JOIN names ON names.id = unit_id "
        f"WHERE run_id = ? AND outcome IN {sql_words(VERDICTS)}",
        (run_id,),
    ).fetchall()
    durations: dict[str, list[float]] = {}
    for name, duration_s in rows:
        durations.setdefault(from_sql(name), []).append(duration_s)
    found = [SlowUnit(unit, median(times), max(times), len(times)) for unit, times in durations.items()]
    return tuple(sorted(found, key=lambda unit: (-unit.median_s, unit.unit))[:limit])


def quarantined_units(store: Store, run_id: str) -> tuple[QuarantinedUnit, ...]:
    """Return the units that were in quarantine at the end, on whichever host, those with most timeouts first."""
    rows = store.connection.execute(
        f"SELECT host, text FROM notes JOIN hosts ON hosts.id = host_id WHERE run_id = ? AND {_ABOUT_QUARANTINE} "
        "ORDER BY t",
        (run_id,),
    ).fetchall()
    last: dict[str, dict[str, int]] = {}
    for host, text in rows:
        told = quarantine_from_text(from_sql(text))
        if told is not None:
            last.setdefault(told.unit, {})[host] = told.timeouts
    found = [
        QuarantinedUnit(unit, max(of_hosts.values()), tuple(sorted(host for host, count in of_hosts.items() if count)))
        for unit, of_hosts in last.items()
        if any(of_hosts.values())
    ]
    return tuple(sorted(found, key=lambda unit: (-unit.timeouts, unit.unit)))


def _coverage(store: Store, run_id: str) -> tuple[int, int, int]:
    """Units of all hosts, those with a verdict, and cases with a verdict: each counted once."""
    ask = store.connection.execute
    of_run = "(SELECT id FROM hosts WHERE run_id = ?1)"
    (total,) = ask(f"SELECT COUNT(DISTINCT unit_id) FROM host_units WHERE host_id IN {of_run}", (run_id,)).fetchone()
    coverage = Coverage(total)
    for name, seed in ask(
        "SELECT DISTINCT name, seed FROM attempts JOIN names ON names.id = unit_id "
        f"WHERE outcome IN {sql_words(VERDICTS)} AND host_id IN {of_run}",
        (run_id,),
    ):
        coverage.add(from_sql(name), seed)
    (cases,) = ask(
        f"SELECT COUNT(*) FROM (SELECT case_id FROM failures WHERE host_id IN {of_run} "
        f"UNION SELECT case_id FROM case_passes WHERE host_id IN {of_run})",
        (run_id,),
    ).fetchone()
    return total, coverage.count, cases


def _left_behind(store: Store, host_id: int) -> tuple[LeftBehind, ...]:
    rows = store.connection.execute(
        "SELECT name, COUNT(*), SUM(survivors) FROM attempts JOIN names ON names.id = unit_id "
        "WHERE host_id = ? AND survivors > 0 GROUP BY unit_id ORDER BY 3 DESC, name LIMIT ?",
        (host_id, MAX_NOTES),
    )
    return tuple(LeftBehind(from_sql(name), attempts, processes) for name, attempts, processes in rows)


def _notes(store: Store, host_id: int) -> tuple[str, ...]:
    rows = store.connection.execute(
        f"SELECT text FROM notes WHERE host_id = ? AND NOT {_ABOUT_QUARANTINE} ORDER BY t LIMIT ?", (host_id, MAX_NOTES)
    )
    return tuple(from_sql(row[0]) for row in rows.fetchall())
