"""One journal event as rows of the results database. Called inside `results.store`'s transactions; commits nothing."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable

from sltfleet.core.duration import format_duration
from sltfleet.core.timeline import SampleSummary, finished_attempt
from sltfleet.results.database import to_sql
from sltfleet.wire.events import (
    AttemptFinished,
    AttemptStarted,
    Counted,
    Event,
    Note,
    PassFinished,
    RunFinished,
    RunResumed,
    RunStarted,
    Sample,
    WorkerStarted,
    WorkerStopped,
)

_SAMPLE_COLUMNS = (
    "sample_count, sampled_s, cpu_percent_s, cpu_max_percent, memory_min_bytes, "
    "runner_rss_max_bytes, runner_cpu_s, sample_last_t"
)
_ATTEMPT_COLUMNS = (
    "host_id, attempt, worker, unit_id, pass_number, seed, start_s, end_s, outcome, exit_code, signal, message, "
    "cases_passed, cases_failed, cpu_s, max_rss_bytes, output_path, survivors"
)

#: The first end of an attempt counts: a row that has an outcome stays as it is.
_INSERT_FINISHED = (
    f"INSERT INTO attempts ({_ATTEMPT_COLUMNS}) VALUES ({', '.join('?' * 18)}) ON CONFLICT DO UPDATE SET "
    + ", ".join(f"{column} = excluded.{column}" for column in _ATTEMPT_COLUMNS.split(", ")[2:])
    + " WHERE outcome IS NULL"
)


def insert_host(connection: sqlite3.Connection, run_id: str, host: str, fingerprint: bytes, started: RunStarted) -> int:
    """Insert the row of a run on a host, with its units, and return its id."""
    row = (
        run_id,
        host,
        *(to_sql(text) for text in (started.project, started.suite)),
        started.wall_s,
        started.workers,
        started.cores,
        started.memory_bytes,
        started.budget_s,
        started.seed,
        started.once,
        *(to_sql(text) for text in (started.build_digest, started.commit, started.dirty_digest, started.toolchain)),
        to_sql(started.sltfleet_version),
        fingerprint,
        started.share_units,
    )
    cursor = connection.execute(
        "INSERT INTO hosts (run_id, host, project, suite, wall_s, workers, cores, memory_bytes, budget_s, seed, once, "
        "build_digest, commit_id, dirty_digest, toolchain, sltfleet_version, journal_fingerprint, share_units, "
        "journal_offset) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
        row,
    )
    host_id = cursor.lastrowid
    assert host_id is not None
    names = _Names(connection)
    connection.executemany(
        "INSERT OR IGNORE INTO host_units VALUES (?, ?)", ((host_id, names.id_of(unit)) for unit in started.units)
    )
    return host_id


def read_samples(connection: sqlite3.Connection, host_id: int) -> SampleSummary:
    """Return what the samples of a run on a host have added up to so far."""
    row = connection.execute(f"SELECT {_SAMPLE_COLUMNS} FROM hosts WHERE id = ?", (host_id,)).fetchone()
    return SampleSummary(*row)


class PieceWriter:
    """Writes events of one run on one host."""

    def __init__(self, connection: sqlite3.Connection, host_id: int) -> None:
        self._connection = connection
        self._host_id = host_id
        self._names = _Names(connection)
        self._samples = read_samples(connection, host_id)
        self._budget_s, self._last_s = connection.execute(
            "SELECT budget_s, last_s FROM hosts WHERE id = ?", (host_id,)
        ).fetchone()
        self._case_passes: Counter[int] = Counter()

    def write(self, events: Iterable[Event]) -> None:
        """Write `events`, the sums included."""
        for event in events:
            self._last_s = max(self._last_s, event.t)
            if isinstance(event, AttemptStarted):
                self._started(event)
            elif isinstance(event, AttemptFinished):
                self._finished(event)
            elif isinstance(event, Sample):
                self._samples.add(event, self._budget_s)
            elif isinstance(event, Counted):
                self._connection.executemany(
                    "INSERT OR IGNORE INTO counted VALUES (?, ?, ?)",
                    ((self._host_id, attempt, event.pass_number) for attempt in event.attempts),
                )
            else:
                self._rare(event)
        self._connection.executemany(
            "INSERT INTO case_passes VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
            ((self._host_id, case, count) for case, count in self._case_passes.items()),
        )
        self._case_passes.clear()
        samples = self._samples
        self._connection.execute(
            f"UPDATE hosts SET last_s = ?, ({_SAMPLE_COLUMNS}) = (?, ?, ?, ?, ?, ?, ?, ?) WHERE id = ?",
            (self._last_s, *vars(samples).values(), self._host_id),
        )

    def _started(self, event: AttemptStarted) -> None:
        self._connection.execute(
            "INSERT OR IGNORE INTO attempts (host_id, attempt, worker, unit_id, pass_number, seed, start_s, timeout_s) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                self._host_id,
                event.attempt,
                event.worker,
                self._names.id_of(event.unit),
                event.pass_number,
                event.seed,
                event.t,
                event.timeout_s,
            ),
        )

    def _finished(self, event: AttemptFinished) -> None:
        interval = finished_attempt(event)
        cursor = self._connection.execute(
            _INSERT_FINISHED,
            (
                self._host_id,
                event.attempt,
                event.worker,
                self._names.id_of(event.unit),
                event.pass_number,
                event.seed,
                interval.start_s,
                interval.end_s,
                event.outcome,
                event.exit_code,
                event.signal,
                to_sql(event.message),
                len(event.passed),
                len(event.failed),
                interval.cpu_s,
                event.rusage.max_rss_bytes,
                to_sql(event.output.path),
                event.survivors,
            ),
        )
        if cursor.rowcount == 0:
            return  # a second end of the same attempt: the first one counts
        self._case_passes.update(self._names.id_of(name) for name in event.passed)
        self._connection.executemany(
            "INSERT INTO failures VALUES (?, ?, ?, ?)",
            (
                (self._host_id, event.attempt, self._names.id_of(case.name), to_sql(case.message))
                for case in event.failed
            ),
        )

    def _rare(self, event: Event) -> None:
        execute = self._connection.execute
        if isinstance(event, WorkerStarted):
            execute(  # one that comes to life again in a run that was resumed goes on with its life
                "INSERT INTO workers (host_id, worker, start_s) VALUES (?, ?, ?) "
                "ON CONFLICT DO UPDATE SET stop_s = NULL",
                (self._host_id, event.worker, event.t),
            )
        elif isinstance(event, WorkerStopped):
            execute(
                "INSERT INTO workers VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET stop_s = excluded.stop_s",
                (self._host_id, event.worker, event.t, event.t),
            )
        elif isinstance(event, PassFinished):
            execute("INSERT OR IGNORE INTO pass_ends VALUES (?, ?, ?)", (self._host_id, event.pass_number, event.t))
        elif isinstance(event, Note):
            execute("INSERT INTO notes VALUES (?, ?, ?)", (self._host_id, event.t, to_sql(event.text)))
        elif isinstance(event, RunResumed):
            execute("UPDATE hosts SET reason = NULL WHERE id = ?", (self._host_id,))
            text = f"resumed after {format_duration(event.t)}: its runner was gone"
            execute("INSERT INTO notes VALUES (?, ?, ?)", (self._host_id, event.t, text))
        elif isinstance(event, RunFinished):
            execute("UPDATE hosts SET reason = ? WHERE id = ?", (to_sql(event.reason), self._host_id))


class _Names:
    """The ids of the names of units and cases; a new name gets one."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._ids: dict[str, int] = {}

    def id_of(self, name: str) -> int:
        found = self._ids.get(name)
        if found is None:
            found = self._ids[name] = self._look_up(name)
        return found

    def _look_up(self, name: str) -> int:
        stored = to_sql(name)
        row = self._connection.execute("SELECT id FROM names WHERE name = ?", (stored,)).fetchone()
        if row is None:
            cursor = self._connection.execute("INSERT INTO names (name) VALUES (?)", (stored,))
            assert cursor.lastrowid is not None
            return cursor.lastrowid
        return int(row[0])
