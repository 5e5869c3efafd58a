"""What must hold between the journals and everything that is told of them: the database and what commands print.

Pure checks, like those of `accounting`. The right numbers are those of `ledger`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from soak_test.accounting import FULL, Discrepancy, Excused, Story
from soak_test.ledger import Journal, Sums, sums_of

#: Numbers that commands print are rounded to a microsecond, sums of many a little more apart.
ROUNDED = 0.001

#: What sltfleet calls its temporary folders, in the scene's own.
TEMPORARY = "tmp/sltfleet-"

#: The exit codes of the commands, as `sltfleet --help` lists them, and that of a command that Ctrl-C ended.
EXIT_CODES = frozenset((0, 1, 2, 3, 4, 5, 6, 7, 8, 130))


@dataclass(frozen=True)
class Said:
    """One command that was typed: `exit_code` is None where it did not end in time, negative for a signal.

    `ended_by`: the signal that the soak test sent it, 0 for none.
    """

    words: tuple[str, ...]
    exit_code: int | None
    stdout: str
    stderr: str
    at_s: float
    ended_by: int = 0

    @property
    def where(self) -> str:
        """The command, for a message."""
        return f"`sltfleet {' '.join(self.words)}` at {self.at_s:.1f} s"


def check_command(said: Said) -> Iterator[Discrepancy]:
    """A command ends, with a documented exit code, and says nothing that only a programmer understands."""
    if said.exit_code is None:
        yield Discrepancy("command-ends", said.where, f"it did not end; it said {_tail(said)}")
    elif said.exit_code not in EXIT_CODES and said.exit_code != -said.ended_by:
        yield Discrepancy("exit-code", said.where, f"{said.exit_code} is not documented; it said {_tail(said)}")
    if "Traceback (most recent call last)" in said.stdout + said.stderr:
        yield Discrepancy("no-traceback", said.where, _tail(said))


def _tail(said: Said) -> str:
    return repr((said.stdout + said.stderr)[-1500:])


def check_fetched(journal: Journal, on_host: bytes, fetched: bytes | None) -> Iterator[Discrepancy]:
    """What was fetched is what lies on the host, byte by byte."""
    if fetched != on_host:
        there = "nothing" if fetched is None else f"{len(fetched)} bytes"
        yield Discrepancy("fetched", journal.where, f"{there} fetched of a journal of {len(on_host)} bytes")


#: A row of the database about an attempt: what `attempt_row` makes of a journal's line.
Row = tuple[object, ...]


def attempt_rows(journal: Journal) -> list[Row]:
    """Return what the database must hold of a journal: its attempts, in order."""
    finished = journal.finished
    rows: list[Row] = [
        (
            number,
            line["worker"],
            line["unit"],
            line["pass_number"],
            line["seed"],
            line["outcome"],
            line["exit_code"],
            line["signal"],
            line["message"],
            len(line["passed"]),
            len(line["failed"]),
            line["survivors"],
            round(line["t"], 6),
        )
        for number, line in finished.items()
    ]
    rows += [
        (number, line["worker"], line["unit"], line["pass_number"], line["seed"], *[None] * 8)
        for number, line in journal.started.items()
        if number not in finished
    ]
    return sorted(rows, key=lambda row: int(str(row[0])))


def check_rows(journal: Journal, rows: Sequence[Row]) -> Iterator[Discrepancy]:
    """The database holds of a journal's attempts what the journal says, and nothing else."""
    expected, found = Counter(attempt_rows(journal)), Counter(rows)
    for row in list((expected - found).elements())[:5]:
        yield Discrepancy("database", journal.where, f"the journal has {row}, the database has not")
    for row in list((found - expected).elements())[:5]:
        yield Discrepancy("database", journal.where, f"the database has {row}, the journal has not")


def check_rebuilt(before: Mapping[str, Sequence[Row]], after: Mapping[str, Sequence[Row]]) -> Iterator[Discrepancy]:
    """The database that grew with every fetch is the one that is made anew from the journals."""
    for table in sorted({*before, *after}):
        grown, made = Counter(before.get(table, ())), Counter(after.get(table, ()))
        for row in list((grown - made).elements())[:5]:
            yield Discrepancy("rebuilt", table, f"{row} is only in the database that grew")
        for row in list((made - grown).elements())[:5]:
            yield Discrepancy("rebuilt", table, f"{row} is only in the database that was made anew")


def check_report(run: str, journals: Sequence[Journal], report: Mapping[str, Any]) -> Iterator[Discrepancy]:
    """The numbers of `report --format json` are those of the journals."""
    hosts = {host["host"]: host for host in report["hosts"]}
    if set(hosts) != {journal.host for journal in journals}:
        yield Discrepancy("report", run, f"it has hosts {sorted(hosts)}")
        return
    failed: Counter[str] = Counter()
    for journal in journals:
        sums = sums_of(journal)
        failed += sums.failed_cases
        yield from _differences("report", journal.where, _reported(hosts[journal.host]), _summed(sums, journal))
        for problem in hosts[journal.host]["utilization"]["problems"]:
            yield Discrepancy("report", journal.where, f"it finds a problem in the journal: {problem}")
        if hosts[journal.host]["damage"]:
            yield Discrepancy("report", journal.where, f"it finds damage: {hosts[journal.host]['damage']}")
    told = {case["case"]: case["failed"] for case in report["failing"]}
    yield from _differences("report", f"{run} failing", told, dict(failed))


def _reported(host: Mapping[str, Any]) -> dict[str, object]:
    told = host["utilization"]
    names = ("attempts", "outcomes", "units_total", "units_covered", "passes", "busy_s", "occupancy", "reason")
    return {name: told[name] for name in names} | {
        name: host[name] for name in ("cases_passed", "cases_failed", "unfinished")
    }


def _summed(sums: Sums, journal: Journal) -> dict[str, object]:
    numbers = {name: value for name, value in vars(sums).items() if name != "failed_cases"}
    return {**numbers, "reason": journal.reason}


def _differences(
    check: str, where: str, told: Mapping[str, object], right: Mapping[str, object]
) -> Iterator[Discrepancy]:
    for name in sorted({*told, *right}):
        mine, theirs = right.get(name), told.get(name)
        close = isinstance(mine, float) and isinstance(theirs, float) and abs(mine - theirs) <= ROUNDED * max(1, mine)
        if mine != theirs and not close:
            yield Discrepancy(check, where, f"{name} is said to be {theirs}, and the journals say {mine}")


def check_status(story: Story, status: Mapping[str, Any]) -> Iterator[Discrepancy]:
    """`status --format json` says of a run that is over how it ended, and its numbers are the journal's."""
    journal = story.journal
    reason = journal.reason
    right = "lost" if reason is None else "stopped" if reason == "stopped" else "finished"
    if status["state"] != right:
        yield Discrepancy("status", journal.where, f"it says {status['state']} and the journal means {right}")
    if reason is None or story.harmed_by(FULL):
        return  # its last word is older than the journal's
    sums = sums_of(journal)
    names = ("attempts", "outcomes", "units_total", "units_covered", "cases_passed", "cases_failed")
    numbers = {name: vars(sums)[name] for name in names}
    told = {name: status[name] for name in names}
    yield from _differences("status", journal.where, told | {"reason": status["reason"]}, numbers | {"reason": reason})


def check_left(processes: Mapping[int, str]) -> Iterator[Discrepancy]:
    """No process of any run is left."""
    for pid, command in processes.items():
        yield Discrepancy("nothing-left", f"process {pid}", f"it bears the mark of a run: {command}")


def check_outside(
    before: Mapping[str, str], after: Mapping[str, str], killed: int, excused: Excused
) -> Iterator[Discrepancy]:
    """Nothing outside the projects' folders was made, changed or taken away.

    A command that was killed by SIGKILL, of which there were `killed`, cannot take its temporary folder away.
    """
    left = sorted(path for path in after if path.startswith(TEMPORARY) and "/" not in path[len(TEMPORARY) :])
    if len(left) <= killed:
        excused.counts["temporary folder of a killed command"] += len(left)
        after = {path: digest for path, digest in after.items() if not path.startswith(tuple(left) or "\0")}
    for path in sorted({*before, *after}):
        if before.get(path) != after.get(path):
            what = "is new" if path not in before else "is gone" if path not in after else "has changed"
            yield Discrepancy("nothing-outside", path, what)
