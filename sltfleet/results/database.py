"""The file `.sltfleet/results.sqlite`: its tables, its version, and opening it so that two controllers can use it at
once.

Everything in it comes from the fetched journals, so a file of an older version or one that SQLite cannot read is made
anew; the caller is told to import again. Text of hosts is bound by `to_sql`, since a unit's name may hold bytes that
are no UTF-8.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from sltfleet.core.errors import RunError
from sltfleet.results.folder import make_state_folder

#: In the file's `user_version`. Grows with every change of the tables.
SCHEMA_VERSION = 4

#: How long to wait for another controller's transaction: one import step takes about a second.
BUSY_TIMEOUT_S = 60.0

_SCHEMA = """
-- Of units and cases.
CREATE TABLE names (id INTEGER PRIMARY KEY, name NOT NULL UNIQUE);
-- A run on a host.
CREATE TABLE hosts (
    id INTEGER PRIMARY KEY, run_id TEXT NOT NULL, host TEXT NOT NULL,
    project NOT NULL, suite NOT NULL, wall_s REAL NOT NULL, workers INTEGER NOT NULL, cores REAL NOT NULL,
    memory_bytes INTEGER NOT NULL, budget_s REAL NOT NULL, seed INTEGER NOT NULL, once INTEGER NOT NULL,
    build_digest NOT NULL, commit_id NOT NULL, dirty_digest NOT NULL, toolchain NOT NULL, sltfleet_version NOT NULL,
    journal_fingerprint BLOB NOT NULL, journal_offset INTEGER NOT NULL, damage NOT NULL DEFAULT '',
    last_s REAL NOT NULL DEFAULT 0, reason, share_units INTEGER,
    sample_count INTEGER NOT NULL DEFAULT 0, sampled_s REAL NOT NULL DEFAULT 0, cpu_percent_s REAL NOT NULL DEFAULT 0,
    cpu_max_percent REAL NOT NULL DEFAULT 0, memory_min_bytes INTEGER, runner_rss_max_bytes INTEGER NOT NULL DEFAULT 0,
    runner_cpu_s REAL NOT NULL DEFAULT 0, sample_last_t REAL NOT NULL DEFAULT 0,
    UNIQUE (run_id, host)
);
CREATE VIEW runs AS
    SELECT run_id, MIN(project) AS project, MIN(suite) AS suite, MIN(wall_s) AS wall_s, MIN(seed) AS seed,
           MAX(once) AS once, COUNT(*) AS hosts
    FROM hosts GROUP BY run_id;
CREATE TABLE host_units (
    host_id INTEGER NOT NULL REFERENCES hosts ON DELETE CASCADE, unit_id INTEGER NOT NULL REFERENCES names,
    PRIMARY KEY (host_id, unit_id)
) WITHOUT ROWID;
CREATE TABLE workers (
    host_id INTEGER NOT NULL REFERENCES hosts ON DELETE CASCADE, worker INTEGER NOT NULL,
    start_s REAL NOT NULL, stop_s REAL, PRIMARY KEY (host_id, worker)
) WITHOUT ROWID;
CREATE TABLE pass_ends (
    host_id INTEGER NOT NULL REFERENCES hosts ON DELETE CASCADE, pass_number INTEGER NOT NULL, end_s REAL NOT NULL,
    PRIMARY KEY (host_id, pass_number)
) WITHOUT ROWID;
-- An outcome that is NULL: no end in the journal.
CREATE TABLE attempts (
    host_id INTEGER NOT NULL REFERENCES hosts ON DELETE CASCADE, attempt INTEGER NOT NULL,
    worker INTEGER NOT NULL, unit_id INTEGER NOT NULL REFERENCES names, pass_number INTEGER NOT NULL,
    seed INTEGER NOT NULL,
    start_s REAL NOT NULL, end_s REAL, outcome TEXT, exit_code INTEGER, signal INTEGER, message NOT NULL DEFAULT '',
    cases_passed INTEGER NOT NULL DEFAULT 0, cases_failed INTEGER NOT NULL DEFAULT 0, cpu_s REAL NOT NULL DEFAULT 0,
    max_rss_bytes INTEGER NOT NULL DEFAULT 0, output_path NOT NULL DEFAULT '', survivors INTEGER NOT NULL DEFAULT 0,
    timeout_s REAL NOT NULL DEFAULT 0, PRIMARY KEY (host_id, attempt)
) WITHOUT ROWID;
CREATE INDEX attempts_by_unit ON attempts (unit_id, host_id);
-- What the shared queue of a run counted, and for which pass.
CREATE TABLE counted (
    host_id INTEGER NOT NULL REFERENCES hosts ON DELETE CASCADE, attempt INTEGER NOT NULL, pass_number INTEGER NOT NULL,
    PRIMARY KEY (host_id, attempt)
) WITHOUT ROWID;
-- A case that an attempt failed.
CREATE TABLE failures (
    host_id INTEGER NOT NULL REFERENCES hosts ON DELETE CASCADE, attempt INTEGER NOT NULL,
    case_id INTEGER NOT NULL REFERENCES names, message NOT NULL
);
CREATE INDEX failures_by_host ON failures (host_id, case_id);
-- How often a case passed.
CREATE TABLE case_passes (
    host_id INTEGER NOT NULL REFERENCES hosts ON DELETE CASCADE, case_id INTEGER NOT NULL REFERENCES names,
    count INTEGER NOT NULL, PRIMARY KEY (host_id, case_id)
) WITHOUT ROWID;
CREATE TABLE notes (host_id INTEGER NOT NULL REFERENCES hosts ON DELETE CASCADE, t REAL NOT NULL, text NOT NULL);
"""


def to_sql(text: str) -> str | bytes:
    """Return how `text` is stored: as it is, or as bytes where it has lone surrogates, which no text in SQLite has."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def from_sql(value: str | bytes) -> str:
    """Return the text that `to_sql` stored."""
    return value.decode("utf-8", "surrogatepass") if isinstance(value, bytes) else value


def sql_words(words: Iterable[str]) -> str:
    """Return constant words of the wire as a list in SQL."""
    return "(" + ", ".join(f"'{word}'" for word in sorted(words)) + ")"


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into RunError."""
    try:
        yield
    except sqlite3.Error as error:
        raise RunError(
            "cannot use the results database",
            f"{path}: {error}",
            "look at the disk's space and rights; the file can be deleted: it is made anew from the fetched runs",
        ) from error


def open_database(path: Path) -> tuple[sqlite3.Connection, bool]:
    """Return the connection, and whether the database is new or was emptied: then everything is to be imported.

    Raises RunError for a file of a newer version, or one that cannot be used.
    """
    try:
        make_state_folder(path.parent, path.parent)
    except OSError as error:
        raise RunError(
            "cannot make the results database", f"{path}: {error.strerror}", "make the folder writable"
        ) from error
    with translated(path):
        try:
            return _prepared(path)
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
            # Kept for whoever wants to see what happened; the next damaged file replaces it.
            path.replace(path.with_name(path.name + ".damaged"))
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            return _prepared(path)


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    # By the words of SQLITE_NOTADB and SQLITE_CORRUPT: Python 3.10 does not tell the codes.
    return "not a database" in str(error) or "malformed" in str(error)


def _prepared(path: Path) -> tuple[sqlite3.Connection, bool]:
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    try:
        _use_write_ahead_log(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        emptied = _migrate(connection, path)
        # Only now: the tables of an older version are dropped in any order.
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection, emptied


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Let readers and a writer work at the same time. The switch itself does not wait for other connections, so it is
    tried again.
    """
    deadline_s = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline_s:
                raise
            time.sleep(0.02)


def _migrate(connection: sqlite3.Connection, path: Path) -> bool:
    if _version(connection) == SCHEMA_VERSION:
        return False
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = _version(connection)  # another controller may have been quicker
        if found > SCHEMA_VERSION:
            raise RunError(
                "the results database was written by a newer sltfleet",
                f"{path} has version {found}, and this sltfleet reads {SCHEMA_VERSION}",
                "upgrade sltfleet, or delete the file: it is made anew from the fetched runs",
            )
        if found < SCHEMA_VERSION:
            _drop_everything(connection)
            for statement in _SCHEMA.split(";\n"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION:d}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    return found < SCHEMA_VERSION


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _drop_everything(connection: sqlite3.Connection) -> None:
    found = connection.execute("SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchall()
    for kind, name in sorted(found, key=lambda entry: entry[0] != "view"):
        if kind in ("table", "view"):
            quoted = '"' + name.replace('"', '""') + '"'
            connection.execute(f"DROP {kind} IF EXISTS {quoted}")
