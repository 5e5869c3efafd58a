"""The SQL of the sample corpus: for each family of files a function that fills a script from a random source.

All of it stays within what every SQLite of the last ten years answers alike: rows are ordered completely or
sorted by the record, reals are multiples of 1/4 (so that sums and averages of them are exact), integers stay far
below 2^53, and nothing depends on error texts, on the query planner or on optional functions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from sltfleet.demo.script import Script

INTEGER_COLUMNS = ("a", "b", "c")
WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron", "", "iris", "Juno", "kelp")
TABLE_COLUMNS = "id INTEGER PRIMARY KEY, a INTEGER, b INTEGER, c INTEGER, r REAL, s VARCHAR(12)"
ROWS_PER_INSERT = 8

Family = Callable[[Random, Script], None]


def table_size(random: Random) -> int:
    """The rows of a table. Most files are small and some are many times as costly, as in real suites."""
    return random.choices((80, 130, 200, 320), weights=(50, 30, 14, 6))[0]


def fill_table(random: Random, script: Script, name: str, rows: int, *, create: bool = True) -> None:
    """Creates table `name` with TABLE_COLUMNS and inserts rows 1..`rows`; about one value in ten is NULL."""
    if create:
        script.statement(f"CREATE TABLE {name}({TABLE_COLUMNS})")
    for first in range(1, rows + 1, ROWS_PER_INSERT):
        tuples = [_row(random, key) for key in range(first, min(first + ROWS_PER_INSERT, rows + 1))]
        script.statement(f"INSERT INTO {name} VALUES{', '.join(tuples)}")


def _row(random: Random, key: int) -> str:
    values = [str(random.randrange(100)) for _ in INTEGER_COLUMNS]
    values.append(f"{random.randrange(4, 400) / 4:.2f}")
    values.append(f"'{random.choice(WORDS)}'")
    return f"({', '.join([str(key), *(value if random.random() > 0.1 else 'NULL' for value in values)])})"


def expression(random: Random, depth: int = 2, prefix: str = "") -> str:
    """An integer expression over the columns of one table; products only with small constants, against overflow."""
    column = prefix + random.choice(INTEGER_COLUMNS)
    if depth == 0:
        return random.choice((column, column, str(random.randrange(100))))
    left = expression(random, depth - 1, prefix)
    right = expression(random, depth - 1, prefix)
    form = random.randrange(7)
    if form == 0:
        return f"({left} + {right})"
    if form == 1:
        return f"({left} - {right})"
    if form == 2:
        return f"{column} * {random.randrange(2, 10)}"
    if form == 3:
        return f"CASE WHEN {condition(random, 0, prefix)} THEN {left} ELSE {right} END"
    if form == 4:
        return f"COALESCE({column}, {right})"
    if form == 5:
        return f"ABS({left} - {right})"
    return f"NULLIF({column}, {random.randrange(100)})"


def condition(random: Random, depth: int = 1, prefix: str = "") -> str:
    """A condition over the columns of one table."""
    column = prefix + random.choice(INTEGER_COLUMNS)
    if depth > 0:
        left = condition(random, depth - 1, prefix)
        right = condition(random, depth - 1, prefix)
        return random.choice((f"({left} AND {right})", f"({left} OR {right})", f"NOT ({left})"))
    low = random.randrange(80)
    form = random.randrange(6)
    if form == 0:
        return f"{column} > {low}"
    if form == 1:
        return f"{column} BETWEEN {low} AND {low + random.randrange(5, 40)}"
    if form == 2:
        return f"{column} IN ({', '.join(str(random.randrange(100)) for _ in range(5))})"
    if form == 3:
        return f"{column} IS {random.choice(('', 'NOT '))}NULL"
    if form == 4:
        return f"{prefix}s LIKE '%{random.choice('aeiou')}%'"
    return f"{column} <= {prefix}{random.choice(INTEGER_COLUMNS)}"


def compare_pairs(random: Random, script: Script, table: str, queries: int = 6) -> None:
    """Counts pairs of rows by inequalities, which no index helps: this is where a file's CPU time goes."""
    for _ in range(queries):
        left, right = random.sample(INTEGER_COLUMNS, 2)
        script.query(
            "II",
            f"SELECT COUNT(*), SUM(x.{left} - y.{right}) FROM {table} AS x, {table} AS y\n"
            f" WHERE x.{left} <= y.{right} + {random.randrange(30)} AND {condition(random, 1, 'y.')}",
        )


def select_family(random: Random, script: Script) -> None:
    """Expressions, conditions, DISTINCT, set operations, subqueries and LIMIT over one table."""
    fill_table(random, script, "t1", table_size(random))
    for number in range(random.randrange(10, 26)):
        form = random.randrange(7)
        one, two = expression(random), expression(random)
        where = condition(random)
        if form == 0:
            script.query("II", f"SELECT {one}, {two} FROM t1 WHERE {where}", "rowsort")
        elif form == 1:
            script.query("I", f"SELECT DISTINCT {one} AS x FROM t1 WHERE {where} ORDER BY 1")
        elif form == 2:
            operation = random.choice(("UNION", "UNION ALL", "EXCEPT", "INTERSECT"))
            other = condition(random)
            script.query(
                "IT",
                f"SELECT b, s FROM t1 WHERE {where}\n{operation}\nSELECT c, s FROM t1 WHERE {other}",
                "rowsort",
            )
        elif form == 3:
            script.query(
                "IIR",
                f"SELECT id, {one}, r FROM t1\n WHERE a > (SELECT AVG(b) FROM t1 WHERE {where})\n"
                f" ORDER BY id DESC LIMIT {random.randrange(1, 12)}",
            )
        elif form == 4:
            script.query(
                "I",
                f"SELECT id FROM t1 AS x WHERE EXISTS(SELECT 1 FROM t1 AS y WHERE y.b < x.a - {number})\n ORDER BY 1",
            )
        elif form == 5:
            script.query("III", f"SELECT a, b, {one} FROM t1 WHERE c IN (SELECT b FROM t1 WHERE {where})", "valuesort")
        else:
            divisor = random.randrange(2, 12)
            script.query(
                "I",
                f"SELECT a / {divisor} FROM t1 WHERE {where}",
                "rowsort",
                f"label-{number}",
                mysql=("DIV for integer division: ", f"SELECT a DIV {divisor} FROM t1 WHERE {where}"),
            )
    compare_pairs(random, script, "t1")


def aggregate_family(random: Random, script: Script) -> None:
    """Aggregates with and without DISTINCT, GROUP BY and HAVING."""
    fill_table(random, script, "t1", table_size(random))
    for number in range(random.randrange(8, 20)):
        where = condition(random)
        value = expression(random)
        form = random.randrange(6)
        if form == 0:
            script.query("III", f"SELECT COUNT(*), COUNT(a), COUNT(DISTINCT b) FROM t1 WHERE {where}")
        elif form == 1:
            script.query("TIR", "SELECT s, COUNT(*), AVG(a) FROM t1 WHERE s IS NOT NULL GROUP BY s ORDER BY s")
        elif form == 2:
            script.query(
                "III",
                f"SELECT a / 10, MIN({value}), MAX(c) FROM t1 WHERE {where}\n GROUP BY 1"
                f" HAVING COUNT(*) > {random.randrange(4)}",
                "rowsort",
            )
        elif form == 3:
            script.query("RR", f"SELECT SUM(r), AVG(r) FROM t1 WHERE {where}")
        elif form == 4:
            script.query(
                "II",
                f"SELECT SUM ( CASE WHEN {where} THEN 1 ELSE 0 END ), SUM ( DISTINCT b ) FROM t1",
                "nosort",
                f"label-{number}",
                mysql=(
                    "aggregate syntax: ",
                    f"SELECT SUM(CASE WHEN {where} THEN 1 ELSE 0 END), SUM(DISTINCT b) FROM t1",
                ),
            )
        else:
            script.query(
                "II",
                "SELECT x.g, COUNT(*) FROM (SELECT id % 5 AS g, b FROM t1) AS x, t1 AS y\n"
                f" WHERE x.b < y.c - {random.randrange(20)} GROUP BY x.g ORDER BY 1",
            )
    compare_pairs(random, script, "t1")


def join_family(random: Random, script: Script) -> None:
    """Inner, left, self and anti joins of two to four tables."""
    names = [f"t{number}" for number in range(1, random.randrange(3, 5))]
    for name in names:
        fill_table(random, script, name, table_size(random) // 2)
    for number in range(random.randrange(8, 18)):
        left, right = random.sample(names, 2)
        where = condition(random, 1, "x.")
        form = random.randrange(5)
        if form == 0:
            script.query(
                "III",
                f"SELECT x.id, y.id, {expression(random, 1, 'y.')} FROM {left} AS x\n"
                f"  JOIN {right} AS y ON x.a = y.b WHERE {where}",
                "rowsort",
                f"join-{number}",
            )
        elif form == 1:
            script.query(
                "IIT",
                f"SELECT x.id, y.a, y.s FROM {left} AS x LEFT JOIN {right} AS y ON x.c = y.c\n WHERE {where}",
                "rowsort",
            )
        elif form == 2:
            script.query(
                "I",
                f"SELECT x.id FROM {left} AS x\n"
                f" WHERE NOT EXISTS(SELECT 1 FROM {right} AS y WHERE y.a = x.b) ORDER BY 1",
            )
        elif form == 3:
            script.query(
                "IR",
                f"SELECT COUNT(*), SUM(y.r) FROM {left} AS x, {right} AS y\n"
                f" WHERE x.a + {random.randrange(25)} < y.b AND {where}",
            )
        else:
            third = random.choice(names)
            script.query(
                "III",
                f"SELECT x.id, y.id, z.id FROM {left} AS x, {right} AS y, {third} AS z\n"
                f" WHERE x.a = y.b AND y.c = z.id AND {where}",
                "valuesort",
            )
    compare_pairs(random, script, names[0])


def index_family(random: Random, script: Script) -> None:
    """The same questions without an index, with indexes, and after rows have changed under them."""
    fill_table(random, script, "t1", table_size(random))
    questions = [
        f"SELECT id, {expression(random, 1)} FROM t1 WHERE {condition(random)}" for _ in range(random.randrange(4, 9))
    ]

    def ask(stage: int) -> None:
        for number, sql in enumerate(questions):
            script.query("II", sql, "rowsort", f"question-{stage}-{number}")

    ask(0)
    script.statement("CREATE INDEX t1_a ON t1(a)")
    script.statement("CREATE INDEX t1_bc ON t1(b DESC, c)")
    script.statement("CREATE UNIQUE INDEX t1_unique ON t1(id, a)")
    ask(0)  # The same label: an index must not change a result.
    script.statement(f"UPDATE t1 SET a = a + {random.randrange(1, 9)} WHERE b < {random.randrange(20, 60)}")
    script.statement(f"DELETE FROM t1 WHERE c BETWEEN {random.randrange(30)} AND {random.randrange(30, 60)}")
    script.failing_statement("INSERT INTO t1(id, a) SELECT id, a FROM t1")
    ask(1)
    script.statement("REINDEX t1", condition="onlyif sqlite # no such statement elsewhere")
    ask(1)
    script.statement("DROP INDEX t1_a", condition="skipif mssql # DROP INDEX needs the table there")
    script.failing_statement("DROP INDEX t1_a")
    ask(1)
    compare_pairs(random, script, "t1")


def ddl_family(random: Random, script: Script) -> None:
    """Tables, views and transactions: made, altered, rolled back, dropped, and used after that."""
    fill_table(random, script, "t1", table_size(random))
    script.failing_statement("CREATE TABLE t1(x INTEGER)")
    script.statement("CREATE TABLE IF NOT EXISTS t1(x INTEGER)")
    script.raw("skipif sqlite # what follows is not about the other engines", "halt")
    for number in range(random.randrange(2, 6)):
        where = condition(random)
        script.statement(f"CREATE VIEW v{number} AS SELECT id, a, b, c, s FROM t1 WHERE {where}")
        script.query("II", f"SELECT COUNT(*), MAX(a) FROM v{number}")
        script.query("IT", f"SELECT b, s FROM v{number} WHERE {condition(random)}", "rowsort")
        script.statement(f"CREATE TABLE copy{number} AS SELECT * FROM v{number}")
        script.statement(f"ALTER TABLE copy{number} ADD COLUMN extra INTEGER DEFAULT {number}")
        script.query("II", f"SELECT extra, COUNT(*) FROM copy{number} GROUP BY extra")
    script.statement("BEGIN")
    script.statement(f"DELETE FROM t1 WHERE a < {random.randrange(20, 90)}")
    script.query("I", "SELECT COUNT(*) FROM t1")
    script.statement("ROLLBACK")
    script.query("I", "SELECT COUNT(*) FROM t1")
    compare_pairs(random, script, "t1")
    script.statement("DROP VIEW v0")
    script.failing_statement("SELECT * FROM v0")
    script.statement("DROP TABLE t1")
    script.failing_statement("INSERT INTO t1(a) VALUES(1)")
    script.failing_statement("SELECT * FROM v1")


# Family, its folder, and its share of the files.
FAMILIES: Sequence[tuple[str, Family, int]] = (
    ("select", select_family, 30),
    ("aggregate", aggregate_family, 24),
    ("join", join_family, 20),
    ("index", index_family, 22),
    ("ddl", ddl_family, 14),
)
