"""Single attempts in the results database: the one behind a verdict (for `repro`), and what surrounded a flaky one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sltfleet.results.database import from_sql, sql_words, to_sql, translated
from sltfleet.results.model import Flaky, FlakyFailure
from sltfleet.results.store import Store
from sltfleet.wire.coverage import is_share
from sltfleet.wire.outcome import BAD, CUT, INFRA, PASS

#: For so many of the flaky the circumstances are looked up, of so many failing attempts each.
MAX_EXPLAINED = 20
MAX_FAILURES = 3

#: Of seeds and of neighbours so many are told.
MAX_SEEDS = 10
MAX_NEIGHBOURS = 64

_ATTEMPT = "run_id, host, attempts.attempt, units.name, worker, pass_number, attempts.seed, outcome, start_s"
_FROM = "FROM attempts JOIN hosts ON hosts.id = attempts.host_id JOIN names AS units ON units.id = unit_id "
_FAILURES = "JOIN failures ON failures.host_id = attempts.host_id AND failures.attempt = attempts.attempt "


@dataclass(frozen=True)
class PastAttempt:
    """What an attempt had: enough to run it again. `remaining_s` was left of the budget when it started.

    `timeout_s`: what its process could take, 0 where the journal does not say.
    """

    run_id: str
    host: str
    attempt: int
    unit: str
    worker: int
    pass_number: int
    seed: int
    outcome: str
    start_s: float
    remaining_s: float
    suite: str
    build_digest: str
    timeout_s: float


def find_attempt(store: Store, run_id: str, name: str, hosts: Sequence[str] = ()) -> PastAttempt | None:
    """Return the attempt of a run to run again for the case or unit `name`, None where there is none.

    The first one that failed the case; else the first one of the unit of that name, failed before passed. `hosts`:
    only on these (none: on any).
    """
    marks = ", ".join("?" * len(hosts))
    where = "WHERE run_id = ? " + (f"AND host IN ({marks}) " if hosts else "")
    bad = sql_words(BAD)
    by_case = (
        f"SELECT {_ATTEMPT}, budget_s - start_s, suite, build_digest, timeout_s {_FROM}{_FAILURES}"
        f"{where}AND case_id = (SELECT id FROM names WHERE name = ?) ORDER BY end_s, host LIMIT 1"
    )
    by_unit = (
        f"SELECT {_ATTEMPT}, budget_s - start_s, suite, build_digest, timeout_s {_FROM}"
        f"{where}AND unit_id = (SELECT id FROM names WHERE name = ?) "
        f"AND outcome NOT IN {sql_words((CUT, INFRA))} ORDER BY outcome NOT IN {bad}, end_s, host LIMIT 1"
    )
    with translated(store.path):
        for query in (by_case, by_unit):
            row = store.connection.execute(query, (run_id, *hosts, to_sql(name))).fetchone()
            if row is not None:
                return _past_attempt(*row)
    return None


def _past_attempt(
    run_id: str,
    host: str,
    attempt: int,
    unit: str | bytes,
    worker: int,
    pass_number: int,
    seed: int,
    outcome: str,
    start_s: float,
    remaining_s: float,
    suite: str | bytes,
    build_digest: str | bytes,
    timeout_s: float,
) -> PastAttempt:
    return PastAttempt(
        run_id=run_id,
        host=host,
        attempt=attempt,
        unit=from_sql(unit),
        worker=worker,
        pass_number=pass_number,
        seed=seed,
        outcome=outcome,
        start_s=start_s,
        remaining_s=remaining_s,
        suite=from_sql(suite),
        build_digest=from_sql(build_digest),
        timeout_s=timeout_s,
    )


def names_of_run(store: Store, run_id: str) -> list[str]:
    """Return the units of a run and the cases that failed in it, for "did you mean". Raises RunError."""
    with translated(store.path):
        rows = store.connection.execute(
            "SELECT DISTINCT name FROM names WHERE id IN "
            "(SELECT unit_id FROM host_units JOIN hosts ON hosts.id = host_id WHERE run_id = ?1 "
            "UNION SELECT case_id FROM failures JOIN hosts ON hosts.id = host_id WHERE run_id = ?1) ORDER BY name",
            (run_id,),
        ).fetchall()
    return [from_sql(row[0]) for row in rows]


def explained(store: Store, found: Sequence[Flaky], run_id: str | None) -> tuple[Flaky, ...]:
    """Return `found` with the circumstances of the first MAX_EXPLAINED: seeds, failing attempts and what ran beside."""
    return tuple(
        _explained(store, flaky, run_id) if index < MAX_EXPLAINED else flaky for index, flaky in enumerate(found)
    )


def _explained(store: Store, flaky: Flaky, run_id: str | None) -> Flaky:
    ask = store.connection.execute
    values = {"name": to_sql(flaky.name), "build": to_sql(flaky.build_digest), "run": run_id}
    scope = "build_digest = :build AND (:run IS NULL OR run_id = :run) "
    named = "(SELECT id FROM names WHERE name = :name)"
    if flaky.kind == "unit":
        failing = f"{_FROM}WHERE unit_id = {named} AND {scope}AND outcome IN {sql_words(BAD)} "
        passing = f"{_FROM}WHERE unit_id = {named} AND {scope}AND outcome = '{PASS}' "
    else:
        failing = f"{_FROM}{_FAILURES}WHERE case_id = {named} AND {scope}"
        # The journal does not say which attempts passed a case: those do that passed a unit in which it failed.
        passing = f"{_FROM}WHERE unit_id IN (SELECT unit_id {failing}) AND {scope}AND outcome = '{PASS}' "
    columns = f"SELECT attempts.host_id, {_ATTEMPT}, end_s, attempts.message, output_path "
    rows = ask(f"{columns}{failing}ORDER BY run_id, end_s LIMIT {MAX_FAILURES}", values).fetchall()
    seeds = "SELECT DISTINCT attempts.seed "
    failed_seeds = ask(f"{seeds}{failing}ORDER BY 1 LIMIT {MAX_SEEDS}", values).fetchall()
    # What is in a share depends on the seed: that another one passed says nothing of the case.
    known = not any(is_share(from_sql(row[4])) for row in rows)
    passed_seeds = ask(f"{seeds}{passing}ORDER BY 1 LIMIT {MAX_SEEDS}", values).fetchall() if known else []
    return replace(
        flaky,
        failed_seeds=tuple(row[0] for row in failed_seeds),
        passed_seeds=tuple(row[0] for row in passed_seeds),
        failures=tuple(_failure(store, *row) for row in rows),
    )


def _failure(
    store: Store,
    host_id: int,
    run_id: str,
    host: str,
    attempt: int,
    unit: str | bytes,
    worker: int,
    pass_number: int,
    seed: int,
    outcome: str,
    start_s: float,
    end_s: float,
    message: str | bytes,
    output: str | bytes,
) -> FlakyFailure:
    beside = store.connection.execute(
        "SELECT name FROM attempts JOIN names ON names.id = unit_id WHERE host_id = ? AND attempt != ? "
        "AND start_s < ? AND COALESCE(end_s, ?) > ? ORDER BY worker, attempt LIMIT ?",
        (host_id, attempt, end_s, end_s + 1, start_s, MAX_NEIGHBOURS),
    ).fetchall()
    path = from_sql(output)
    return FlakyFailure(
        run_id=run_id,
        host=host,
        attempt=attempt,
        unit=from_sql(unit),
        worker=worker,
        pass_number=pass_number,
        seed=seed,
        outcome=outcome,
        message=from_sql(message),
        start_s=start_s,
        end_s=end_s,
        neighbours=tuple(dict.fromkeys(from_sql(row[0]) for row in beside)),
        output=f"{host}/{path}" if path else "",
    )
