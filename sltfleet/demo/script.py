"""One sqllogictest file in the making: records are written as they are executed on an oracle.

The oracle is Python's own SQLite, so an expected result is never guessed. The format is that of the real
corpora: one value per line, results above the hash threshold as an MD5, values rendered by the type letter of
the query. Which SQL goes into a file is the business of `families`.
"""

from __future__ import annotations

import hashlib
import sqlite3
from typing import Literal

SortMode = Literal["nosort", "rowsort", "valuesort"]
Value = int | float | str | None

HASH_THRESHOLD = 8


class OracleError(Exception):
    """The oracle disagrees with what a record claims: a bug of the generator, never written to a file.

    Fields: `sql`, and `problem` in words.
    """

    def __init__(self, sql: str, problem: str) -> None:
        super().__init__(f"{problem}: {sql}")
        self.sql = sql
        self.problem = problem


def rendered(value: Value, letter: str) -> str:
    """The line that stands for `value` in a column of type `letter` (I, R or T).

    SQLite could convert any type to any other; a value of another type is refused all the same, because what a
    conversion yields is not the same in all versions. Raises TypeError.
    """
    if value is None:
        return "NULL"
    if letter == "I" and isinstance(value, int):
        return str(value)
    if letter == "R" and isinstance(value, float):
        return f"{value:.3f}"
    if letter == "T" and isinstance(value, str):
        return value or "(empty)"
    raise TypeError(f"{value!r} in a column of type {letter}")


def result_lines(rows: list[tuple[Value, ...]], types: str, sort: SortMode) -> list[str]:
    """The expected-result lines of a query: sorted as text, like every sqllogictest driver does, then hashed."""
    lines = [[rendered(value, letter) for value, letter in zip(row, types, strict=True)] for row in rows]
    if sort == "rowsort":
        lines.sort()
    values = [value for line in lines for value in line]
    if sort == "valuesort":
        values.sort()
    if len(values) <= HASH_THRESHOLD:
        return values
    digest = hashlib.md5("".join(f"{value}\n" for value in values).encode(), usedforsecurity=False).hexdigest()
    return [f"{len(values)} values hashing to {digest}"]


class Script:
    """The text of one file, and the in-memory database on which its records have been executed so far."""

    def __init__(self, *about: str) -> None:
        self._blocks = ["\n".join(f"# {line}" for line in about), f"hash-threshold {HASH_THRESHOLD}"]
        # No implicit transactions: BEGIN and ROLLBACK in a script must mean what they say.
        self._database = sqlite3.connect(":memory:", isolation_level=None)

    def text(self) -> str:
        """The whole file."""
        return "\n\n".join(self._blocks) + "\n"

    def close(self) -> None:
        """Ends the oracle."""
        self._database.close()

    def comment(self, *lines: str) -> None:
        self._blocks.append("\n".join(f"# {line}" for line in lines))

    def raw(self, *lines: str) -> None:
        """A record that the oracle does not check: a sleep, a deliberate falsehood, a record for another engine."""
        self._blocks.append("\n".join(lines))

    def statement(self, sql: str, condition: str | None = None) -> None:
        """A statement that succeeds. Raises OracleError where it does not."""
        try:
            self._database.execute(sql)
        except sqlite3.Error as error:
            raise OracleError(sql, f"the statement failed ({error})") from error
        self.raw(*filter(None, [condition]), "statement ok", sql)

    def failing_statement(self, sql: str) -> None:
        """A statement that is an error. Raises OracleError where it succeeds."""
        try:
            self._database.execute(sql)
        except (sqlite3.OperationalError, sqlite3.IntegrityError):
            self._blocks.append(f"statement error\n{sql}")
            return
        raise OracleError(sql, "the statement was to fail and did not")

    def query(
        self,
        types: str,
        sql: str,
        sort: SortMode = "nosort",
        label: str | None = None,
        mysql: tuple[str, str] | None = None,
    ) -> None:
        """A query with the result that the oracle gives.

        `sort="nosort"` is for SQL that orders its rows completely by itself. `mysql` is (reason, SQL) of the same
        query in MySQL's words; it becomes a pair of records of which each engine runs one, as in the real corpora.
        Raises OracleError.
        """
        try:
            rows = self._database.execute(sql).fetchall()
            results = result_lines(rows, types, sort)
        except (sqlite3.Error, TypeError, ValueError) as error:
            raise OracleError(sql, f"the query failed ({error})") from error
        head = " ".join(filter(None, ["query", types, sort, label]))
        conditions: list[str] = []
        if mysql is not None:
            reason, mysql_sql = mysql
            self.raw(f"onlyif mysql # {reason}", head, mysql_sql, "----", *results)
            conditions = ["skipif mysql # not compatible"]
        self.raw(*conditions, head, sql, "----", *results)
