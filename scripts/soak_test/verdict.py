"""Has all evidence judged by the checks, and makes the closing table."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from soak_test import accounting, claims
from soak_test.accounting import Discrepancy, Excused, Harm, Story
from soak_test.claims import Said
from soak_test.evidence import Evidence
from soak_test.ledger import read_journal


@dataclass(frozen=True)
class Verdict:
    """What was counted, what could be explained, and what could not."""

    runs: int
    journals: int
    seen: int
    finished: int
    commands: int
    outcomes: dict[str, int]
    excused: dict[str, int]
    found: list[Discrepancy]


def judge(
    evidence: Evidence, said: Sequence[Said], harms: Sequence[Harm], before: dict[str, str], found: list[Discrepancy]
) -> Verdict:
    """Return the verdict; `found` is what was found while it happened, `before` what lay outside the projects."""
    journals = [read_journal(*place, data) for place, data in sorted(evidence.journals.items())]
    told = accounting.stories(evidence.seen, journals, harms)
    excused = Excused()
    found = list(found)
    for one in said:
        found += claims.check_command(one)
    for story in told:
        found += accounting.check_story(story, excused)
        if story.journal.lines:
            found += _check_claims(story, evidence)
    for run in sorted({journal.run for journal in journals}):
        of_run = [journal for journal in journals if journal.run == run and journal.lines]
        report = evidence.reports.get(run)
        if report:
            found += claims.check_report(run, of_run, report)
        elif of_run:
            found.append(Discrepancy("report", run, "`fetch --format json` printed no JSON"))
    found += claims.check_rebuilt(evidence.grown, evidence.made_anew)
    if evidence.newest[0] != evidence.newest[1]:
        found.append(Discrepancy("rebuilt", "report", "it says something else of a database that was made anew"))
    found += claims.check_left(evidence.processes)
    killed = sum(one.ended_by == signal.SIGKILL for one in said)
    found += claims.check_outside(before, evidence.outside, killed, excused)
    finished = [line for journal in journals for line in journal.finished.values()]
    return Verdict(
        runs=len({journal.run for journal in journals}),
        journals=len(journals),
        seen=len(evidence.seen),
        finished=len(finished),
        commands=len(said),
        outcomes=dict(Counter(line["outcome"] for line in finished)),
        excused={reason: count for reason, count in excused.counts.items() if count},
        found=found,
    )


def _check_claims(story: Story, evidence: Evidence) -> list[Discrepancy]:
    journal = story.journal
    place = (journal.run, journal.host)
    found = list(claims.check_fetched(journal, evidence.journals[place], evidence.fetched[place]))
    found += claims.check_rows(journal, evidence.rows[place])
    hosts = {host["host"]: host for host in evidence.statuses.get(journal.run, {}).get("hosts", [])}
    if journal.host in hosts:
        found += claims.check_status(story, hosts[journal.host])
    else:
        found.append(Discrepancy("status", journal.where, "`status --format json` says nothing of it"))
    reported = {host["host"]: host for host in evidence.reports.get(journal.run, {}).get("hosts", [])}
    if journal.host in reported:
        found += accounting.check_occupancy(story, reported[journal.host]["utilization"]["occupancy"])
    return found


def closing_lines(verdict: Verdict, faults: Counter[str], rounds: int, seed: int) -> list[str]:
    """Return the closing table, and what does not add up."""
    rows: list[tuple[str, object]] = [("rounds", rounds), ("commands typed", verdict.commands)]
    rows += [(f"fault: {kind}", count) for kind, count in sorted(faults.items())]
    rows += [("runs", verdict.runs), ("journals (a run on a host)", verdict.journals)]
    rows += [("attempts that the units logged", verdict.seen), ("attempts finished in the journals", verdict.finished)]
    rows += [(f"  {outcome}", count) for outcome, count in sorted(verdict.outcomes.items())]
    rows += [(f"explained: {reason}", count) for reason, count in sorted(verdict.excused.items())]
    rows += [("discrepancies", len(verdict.found))]
    width = max(len(name) for name, _ in rows)
    lines = [f"{name:<{width}}  {value:>7}" for name, value in rows]
    lines += [f"DISCREPANCY {found}" for found in verdict.found]
    if verdict.found:
        lines.append(f"to do the same again: scripts/soak MINUTES --seed {seed}")
    return lines
