"""Generates the corpus of the demo suite: `python -m sltfleet.demo.corpus OUT [--seed N] [--files N]`.

The shipped corpus (`crate/corpus/`) is what this prints for the default seed, byte for byte; a test holds that.
It is made to behave like a real suite: most files take milliseconds, a few take long, three mostly wait, three
fail and say so in their names, and one is flaky by design. The records are made by `script`, the SQL of the
ordinary files by `families`; here are the special files and the list of all.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

from sltfleet.demo.families import FAMILIES, Family, fill_table
from sltfleet.demo.script import Script

DEFAULT_SEED = 20_260_101
DEFAULT_FILES = 120


@dataclass(frozen=True)
class CorpusFile:
    """A file of the corpus: its name relative to the corpus root, with slashes, and its text."""

    name: str
    text: str


def recursive_primes(script: Script, limit: int = 95_000) -> None:
    """Trial division in a recursive query: CPU time without data."""
    script.query(
        "II",
        f"WITH RECURSIVE n(x) AS (SELECT 2 UNION ALL SELECT x + 1 FROM n WHERE x < {limit})\n"
        "SELECT COUNT(*), SUM(x) FROM n AS p WHERE NOT EXISTS(\n"
        "  SELECT 1 FROM (WITH RECURSIVE d(y) AS (SELECT 2 UNION ALL SELECT y + 1 FROM d WHERE y * y < p.x)\n"
        "    SELECT y FROM d) WHERE y < p.x AND p.x % y = 0)",
    )


def collatz_lengths(script: Script, limit: int = 10_000) -> None:
    """The longest Collatz sequences below a limit: one long recursive query."""
    script.query(
        "II",
        "WITH RECURSIVE\n"
        f"  n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < {limit}),\n"
        "  c(start, x, steps) AS (\n"
        "    SELECT x, x, 0 FROM n UNION ALL\n"
        "    SELECT start, CASE WHEN x % 2 = 0 THEN x / 2 ELSE 3 * x + 1 END, steps + 1 FROM c WHERE x > 1)\n"
        "SELECT start, MAX(steps) FROM c GROUP BY start ORDER BY 2 DESC, 1 LIMIT 10",
    )


def cross_join(script: Script, rows: int = 185) -> None:
    """A three-way join by inequalities, which no index helps."""
    fill_table(Random("cross join"), script, "t1", rows)
    script.query(
        "II",
        "SELECT COUNT(*), SUM(x.a + y.b - z.c) FROM t1 AS x, t1 AS y, t1 AS z\n WHERE x.a < y.b + z.c AND y.a <> z.b",
    )


HEAVY: Sequence[tuple[str, Callable[[Script], None]]] = (
    ("recursive_primes", recursive_primes),
    ("collatz_lengths", collatz_lengths),
    ("cross_join", cross_join),
)

# What the waiting files wait for, and how many seconds each pause lasts.
WAITS: Sequence[tuple[str, str, Sequence[int]]] = (
    ("lock_timeout", "a lock that another connection holds", (2, 1)),
    ("slow_checkpoint", "a checkpoint in the background", (2, 2, 1)),
    ("lease_expiry", "leases that expire", (2, 2, 2, 2)),
)


def waiting_text(what: str, pauses_s: Sequence[int]) -> str:
    """A file that sleeps between its queries."""
    script = Script(
        f"Imitates a suite that waits for {what}: it takes {sum(pauses_s)} s and hardly any CPU time.",
        "A launcher that counts busy CPUs instead of busy workers would take it for idle.",
    )
    script.statement("CREATE TABLE events(id INTEGER PRIMARY KEY, seconds INTEGER)")
    for number, pause_s in enumerate(pauses_s, 1):
        script.statement(f"INSERT INTO events VALUES({number}, {pause_s})")
        script.raw(f"sleep {pause_s}s")
        script.query("II", "SELECT COUNT(*), SUM(seconds) FROM events")
    return _finished(script)


def honest_failures() -> list[CorpusFile]:
    """Three files that fail each time, because what they expect is false."""
    value = Script("Fails on purpose, each time: 7 * 6 is 42, and the record below expects 41.")
    value.query("I", "SELECT 7 * 5")
    value.raw("query I nosort", "SELECT 7 * 6", "----", "41")

    error = Script(
        "Fails on purpose, each time: the second INSERT is expected to be an error, but no constraint",
        "forbids it.",
    )
    error.statement("CREATE TABLE t1(x INTEGER)")
    error.statement("INSERT INTO t1 VALUES(1)")
    error.raw("statement error", "INSERT INTO t1 VALUES(1)")

    table = Script("Fails on purpose, each time: there is no table `ledger`.")
    table.statement("CREATE TABLE ledgers(id INTEGER PRIMARY KEY, amount INTEGER)")
    table.raw("query I nosort", "SELECT SUM(amount) FROM ledger", "----", "0")
    return [
        CorpusFile("honest-failures/wrong_expected_value.test", _finished(value)),
        CorpusFile("honest-failures/expected_error_does_not_occur.test", _finished(error)),
        CorpusFile("honest-failures/query_on_missing_table.test", _finished(table)),
    ]


def flaky_by_design() -> CorpusFile:
    """A file that the same build passes three times in four."""
    script = Script(
        "Flaky by design: one run in four fails, by the two lowest bits of a random number.",
        "Run once it proves nothing; run in pass after pass it is found out.",
    )
    script.raw("query I nosort", "SELECT (RANDOM() & 3) = 0", "----", "0")
    return CorpusFile("flaky/flaky_by_design.test", _finished(script))


@cache
def special_files() -> tuple[CorpusFile, ...]:
    """The files that are the same for every seed: heavy, waiting, failing and flaky.

    Made once per process: the heavy queries cost more than all the other files together.
    """
    files = honest_failures()
    files.append(flaky_by_design())
    for name, fill in HEAVY:
        script = Script(
            f"Takes long: {name.replace('_', ' ')}. One of the few files that decide how long a pass lasts."
        )
        fill(script)
        files.append(CorpusFile(f"heavy/{name}.test", _finished(script)))
    for name, what, pauses_s in WAITS:
        files.append(CorpusFile(f"wait/{name}.test", waiting_text(what, pauses_s)))
    return tuple(files)


def family_sizes(files: int) -> list[tuple[str, Family, int]]:
    """How many of `files` ordinary files each family gets: its share, rounded so that the sum is exact."""
    whole = sum(share for _, _, share in FAMILIES)
    sizes = []
    passed = 0
    for folder, family, share in FAMILIES:
        size = files * (passed + share) // whole - files * passed // whole
        sizes.append((folder, family, size))
        passed += share
    return sizes


def generate(seed: int = DEFAULT_SEED, files: int = DEFAULT_FILES) -> list[CorpusFile]:
    """The whole corpus, sorted by name. The same arguments give the same bytes, on every Python and SQLite.

    Raises ValueError where `files` is less than the special files alone.
    """
    corpus = list(special_files())
    if files < len(corpus):
        raise ValueError(f"a corpus has at least {len(corpus)} files, not {files}")
    for folder, family, size in family_sizes(files - len(corpus)):
        for number in range(size):
            name = f"{folder}/slt_good_{number}.test"
            # A source of its own per file: a change to one family leaves the files of the others as they were.
            random = Random(f"{seed} {name}")
            script = Script(f"Generated by sltfleet.demo.corpus: {name}, seed {seed}.")
            family(random, script)
            corpus.append(CorpusFile(name, _finished(script)))
    return sorted(corpus, key=lambda file: file.name)


def write(folder: Path, corpus: Sequence[CorpusFile]) -> None:
    """Writes the files below `folder`; what else lies there stays. Raises OSError."""
    for file in corpus:
        path = folder / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        # Bytes, so that no platform changes the line ends.
        path.write_bytes(file.text.encode())


def _finished(script: Script) -> str:
    script.close()
    return script.text()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns the exit code: 0, or 1 where the folder cannot be written."""
    parser = argparse.ArgumentParser(prog="python -m sltfleet.demo.corpus", description="Writes the demo corpus.")
    parser.add_argument("folder", metavar="OUT", type=Path, help="where to write it; other files there stay")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="default: %(default)s, as shipped")
    parser.add_argument("--files", type=int, default=DEFAULT_FILES, help="how many files; default: %(default)s")
    options = parser.parse_args(arguments)
    try:
        corpus = generate(options.seed, options.files)
    except ValueError as error:
        parser.error(f"--files: {error}")
    try:
        write(options.folder, corpus)
    except OSError as error:
        sys.stderr.write(f"cannot write the corpus: {error}\n")
        return 1
    total_bytes = sum(len(file.text) for file in corpus)
    sys.stdout.write(f"{len(corpus)} files, {total_bytes} bytes, in {options.folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
