"""The results database as an object: importing the journals of runs, again and again, without ever counting anything
twice.

A journal is imported piece by piece. Each piece is one transaction that also moves the journal's offset, so an import
that is interrupted goes on where it was, and two controllers that import the same journal at once do not both count a
piece. Questions are asked in `results.queries` and `results.history`.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from sltfleet.core.paths import LocalPaths
from sltfleet.core.runid import is_run_id
from sltfleet.results.database import from_sql, open_database, translated
from sltfleet.results.journal import Damage, Piece, fingerprint, read_piece
from sltfleet.results.rows import PieceWriter, insert_host
from sltfleet.wire.events import RunStarted

JOURNAL_NAME = "journal.jsonl"


@dataclass(frozen=True)
class Imported:
    """What an import brought: how many events were new, and what is wrong with the journal ("" where nothing is).

    `readable`: False where not even its first line is one of ours, of this run and in a format that is known.
    """

    events: int
    damage: str = ""
    readable: bool = True


@dataclass(frozen=True)
class _Place:
    """A journal in the database: its row, how far it has been read, and the fingerprint that it had there."""

    host_id: int
    fingerprint: bytes
    offset: int


class Store:
    """The open database. One thread uses it at a time; several stores, also of other processes, may be open at once."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.connection = connection
        self.path = path

    @classmethod
    def open(cls, paths: LocalPaths) -> Store:
        """Open the database, and import all fetched runs where it is new or of an older version. Raises RunError."""
        connection, emptied = open_database(paths.database)
        store = cls(connection, paths.database)
        if emptied:
            store.import_all(paths)
        return store

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database."""
        self.connection.close()

    def import_all(self, paths: LocalPaths) -> dict[tuple[str, str], Imported]:
        """Import every run that was fetched, by run and host. Raises RunError."""
        return {
            (run_id, host): imported
            for run_id in _names(paths.runs)
            if is_run_id(run_id)
            for host, imported in self.import_run(paths, run_id).items()
        }

    def import_run(self, paths: LocalPaths, run_id: str) -> dict[str, Imported]:
        """Import the journals of one run, by host. Raises RunError."""
        found = {}
        for host in _names(paths.run(run_id)):
            journal = paths.host(run_id, host) / JOURNAL_NAME
            if journal.is_file() and not journal.is_symlink():
                found[host] = self.import_journal(run_id, host, journal)
        return found

    def import_journal(self, run_id: str, host: str, journal: Path) -> Imported:
        """Import what is new in one journal.

        A journal in which something else stands than what was imported is another one: it is imported from its start,
        in place of the old. Raises RunError where it or the database cannot be used.
        """
        if not fingerprint(journal, 0):
            return Imported(0, "")
        count = 0
        while True:
            place = self._place(run_id, host)
            if place and place.fingerprint != fingerprint(journal, place.offset):
                with self._transaction():
                    self.connection.execute("DELETE FROM hosts WHERE id = ?", (place.host_id,))
                continue
            offset = place.offset if place else 0
            piece = read_piece(journal, offset)
            wrong = _of_another_run(piece, run_id) if offset == 0 else None
            if wrong:
                return Imported(count, str(wrong), readable=False)
            if offset == 0 and not piece.events:
                return Imported(count, str(piece.damage or ""), readable=piece.damage is None)
            if not self._write(run_id, host, place, piece, fingerprint(journal, piece.next_offset)):
                continue  # another controller has imported this piece meanwhile
            count += len(piece.events)
            if not piece.more:
                return Imported(count, str(piece.damage or ""))

    def _write(self, run_id: str, host: str, place: _Place | None, piece: Piece, read_so_far: bytes) -> bool:
        """Write one piece where the journal still stands at `place`, and return whether it did.

        `read_so_far`: the fingerprint at the end of the piece.
        """
        with self._transaction():
            if self._place(run_id, host) != place:
                return False
            events = piece.events
            if place is None:
                started = events[0]
                assert isinstance(started, RunStarted)
                host_id = insert_host(self.connection, run_id, host, read_so_far, started)
                events = events[1:]
            else:
                host_id = place.host_id
            PieceWriter(self.connection, host_id).write(events)
            self.connection.execute(
                "UPDATE hosts SET journal_fingerprint = ?, journal_offset = ?, damage = ? WHERE id = ?",
                (read_so_far, piece.next_offset, str(piece.damage or ""), host_id),
            )
        return True

    def _place(self, run_id: str, host: str) -> _Place | None:
        with translated(self.path):
            row = self.connection.execute(
                "SELECT id, journal_fingerprint, journal_offset FROM hosts WHERE run_id = ? AND host = ?",
                (run_id, host),
            ).fetchone()
        return None if row is None else _Place(*row)

    def run_ids(self) -> list[str]:
        """Return the ids of all imported runs, oldest first."""
        with translated(self.path):
            rows = self.connection.execute("SELECT run_id FROM runs ORDER BY run_id").fetchall()
        return [from_sql(row[0]) for row in rows]

    @contextlib.contextmanager
    def snapshot(self, only_hosts: Sequence[str] = ()) -> Iterator[None]:
        """Within it all queries see the same state, whatever another controller imports meanwhile.

        `only_hosts`: as if there were no other hosts (none: all).
        """
        with translated(self.path):
            self.connection.execute("BEGIN")
            try:
                if only_hosts:
                    # SQLite looks a name up among the temporary ones first; both go with the transaction.
                    self.connection.execute("CREATE TEMP TABLE only_hosts (name PRIMARY KEY)")
                    rows = ((host,) for host in dict.fromkeys(only_hosts))
                    self.connection.executemany("INSERT INTO only_hosts VALUES (?)", rows)
                    self.connection.execute(
                        "CREATE TEMP VIEW hosts AS SELECT * FROM main.hosts WHERE host IN (SELECT name FROM only_hosts)"
                    )
                yield
            finally:
                self.connection.execute("ROLLBACK")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with translated(self.path):
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise


def _of_another_run(piece: Piece, run_id: str) -> Damage | None:
    started = piece.events[0] if piece.events else None
    if isinstance(started, RunStarted) and started.run_id != run_id:
        return Damage(0, f"it is the journal of run {started.run_id!r}")
    return None


def _names(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
