"""Journals as plain JSON values: read and added up by simple code of the soak test's own, not by sltfleet's.

What is asked of sltfleet is whether its numbers are right, so none of its code may help to say what is right.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

#: One object of a journal. What is in it was written by the program that is tested: nothing is known of its shape.
Line = dict[str, Any]

VERDICTS = frozenset(("pass", "fail", "timeout", "crash", "oom", "skip"))

#: The lines with which a runner comes, or goes.
RUNNERS_COME_AND_GO = ("run-started", "run-resumed", "run-finished")


@dataclass(frozen=True)
class Journal:
    """One run on one host: its whole lines. `bad` are those that are no JSON object, `torn` what follows the last."""

    run: str
    host: str
    lines: tuple[Line, ...]
    bad: tuple[str, ...] = ()
    torn: str = ""

    @property
    def where(self) -> str:
        """The journal, for a message."""
        return f"{self.run} {self.host}"

    def of_kind(self, kind: str) -> Iterator[Line]:
        """Yield the lines of a kind, in order."""
        return (line for line in self.lines if line["kind"] == kind)

    @property
    def head(self) -> Line:
        """The line `run-started`; {} where there is none yet."""
        return next(self.of_kind("run-started"), {})

    @property
    def reason(self) -> str | None:
        """Why the run ended, None where its (last) runner never said goodbye."""
        last = [line for line in self.lines if line["kind"] in RUNNERS_COME_AND_GO][-1:]
        return str(last[0]["reason"]) if last and last[0]["kind"] == "run-finished" else None

    @property
    def finished(self) -> dict[int, Line]:
        """The attempts that are over, by number; of two ends the first."""
        found: dict[int, Line] = {}
        for line in self.of_kind("attempt-finished"):
            found.setdefault(line["attempt"], line)
        return found

    @property
    def started(self) -> dict[int, Line]:
        """The attempts that were started, by number; of two starts the first."""
        found: dict[int, Line] = {}
        for line in self.of_kind("attempt-started"):
            found.setdefault(line["attempt"], line)
        return found


def read_journal(run: str, host: str, data: bytes) -> Journal:
    """Return the journal in the bytes of its file."""
    *whole, torn = data.decode(errors="replace").split("\n")
    lines: list[Line] = []
    bad: list[str] = []
    for text in whole:
        try:
            value = json.loads(text)
        except ValueError:
            value = None
        if isinstance(value, dict) and "kind" in value:
            lines.append(value)
        else:
            bad.append(text)
    return Journal(run, host, tuple(lines), tuple(bad), torn)


@dataclass(frozen=True)
class Sums:
    """What a journal adds up to, as `report` says it of one host."""

    attempts: int
    outcomes: dict[str, int]
    units_total: int
    units_covered: int
    cases_passed: int
    cases_failed: int
    passes: int
    unfinished: int
    busy_s: float
    occupancy: float
    failed_cases: Counter[str] = field(default_factory=Counter)


def sums_of(journal: Journal) -> Sums:
    """Add up a journal."""
    finished = journal.finished
    lines = list(finished.values())
    span_s = _span_s(journal)
    ran = [line for line in lines if line["outcome"] != "infra"]
    busy_s = sum(max(0.0, min(line["t"], span_s) - max(0.0, line["t"] - line["duration_s"])) for line in ran)
    # What has no end in the journal was busy as long as the journal goes on.
    left = [line for number, line in journal.started.items() if number not in finished]
    busy_s += sum(max(0.0, span_s - line["t"]) for line in left)
    worker_s = journal.head["workers"] * span_s
    return Sums(
        attempts=len(lines),
        outcomes=dict(Counter(line["outcome"] for line in lines)),
        units_total=len(set(journal.head["units"])),
        units_covered=len({line["unit"] for line in lines if line["outcome"] in VERDICTS}),
        cases_passed=sum(len(line["passed"]) for line in lines),
        cases_failed=sum(len(line["failed"]) for line in lines),
        passes=len({line["pass_number"] for line in journal.of_kind("pass-finished")}),
        unfinished=len(left),
        busy_s=busy_s,
        occupancy=busy_s / worker_s if worker_s else 0.0,
        failed_cases=Counter(case["name"] for line in lines for case in line["failed"]),
    )


def _span_s(journal: Journal) -> float:
    """The seconds that count: the budget where the run was to use it up, else what it lasted."""
    budget_s = float(journal.head["budget_s"])
    if journal.reason in ("budget", "once", "error"):
        return budget_s
    return min(budget_s, max((float(line["t"]) for line in journal.lines), default=0.0))
