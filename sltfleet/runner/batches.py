"""Short libtest tests that share a process: which ones, and whose verdict is whose.

A test costs a process, which for a test of a millisecond is most of what it costs. So tests of one executable that are
known to be short, and to pass, run together in one process, one after the other; each keeps an attempt, a case and a
verdict of its own. When the process ends before its time, the test that was running answers for it; those behind it
were not run, and go back into their pass. Whatever was in trouble in company runs alone from then on. Pure.
docs/decisions/010-batches.md has the reasons.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Dict, Iterable, List, Mapping, Optional, Sequence, Set, Tuple

from sltfleet.runner.knowledge import Knowledge
from sltfleet.runner.messages import Attempt, Exited
from sltfleet.runner.verdicts import Cause, Verdict, conclude
from sltfleet.wire import outcome as outcomes
from sltfleet.wire.events import AttemptFinished, FailedCase, Rusage

#: A test whose duration is unknown or zero still costs something: a batch has an end.
LEAST_S = 0.001

#: So many tests share a process at most: their names are arguments.
MOST = 200

#: What a batch's process may take to start and to end beyond the durations of its tests.
_SLACK_S = 1.0


class Batcher:
    """Chooses who shares a process. `groups`: the unit -> its executable; others never share one."""

    def __init__(self, knowledge: Knowledge, batch_s: float = 0.0, groups: Optional[Mapping[str, str]] = None) -> None:
        self._knowledge = knowledge
        self.batch_s = batch_s
        self._groups = groups or {}
        self._alone: Set[str] = set(knowledge.suspects(list(self._groups)))

    def room_s(self, unit: str) -> float:
        """Return how many seconds others have in the process of a unit; 0 where it runs alone."""
        return self.batch_s - self.takes_s(unit) if self.batch_s and self._shares(unit) else 0.0

    def takes_s(self, unit: str) -> float:
        """Return the seconds that a unit takes of a process."""
        return max(LEAST_S, self._knowledge.expected_s(unit) or 0.0)

    def joins(self, unit: str, first: str, room_s: float) -> bool:
        """Whether a unit may run in the process of `first`, in which there are `room_s` left."""
        return self._shares(unit) and self._groups[unit] == self._groups.get(first) and self.takes_s(unit) <= room_s

    def learn(self, unit: str, verdict: Optional[Verdict]) -> None:
        """Take in how a test fared in company; None: it was not run. One that failed runs alone from now on."""
        if verdict is not None and verdict.outcome in outcomes.BAD:
            self._alone.add(unit)

    def alone(self, units: Iterable[str]) -> None:
        """From now on these run alone: nobody knows which of them it was."""
        self._alone.update(units)

    def _shares(self, unit: str) -> bool:
        known_s = self._knowledge.expected_s(unit)
        return unit in self._groups and unit not in self._alone and known_s is not None and known_s < self.batch_s


def members(attempt: Attempt) -> Tuple[Attempt, ...]:
    """Return all attempts of a process: the one that leads it and those that share it."""
    return (attempt, *attempt.others)


def batch_timeout_s(timeouts_s: Sequence[float], batch_s: float) -> float:
    """Return how long a process may take: the longest of its tests' limits, and what the others take before it."""
    return max(timeouts_s) + (batch_s + _SLACK_S if len(timeouts_s) > 1 else 0.0)


def split(event: Exited, cause: Optional[Cause]) -> List[Tuple[Attempt, Optional[Verdict]]]:
    """Return every attempt of a process that is over with its final verdict, None for one that was not run."""
    told = event.verdict
    failed: Dict[str, FailedCase] = {case.name: case for case in told.failed}
    passed, skipped = set(told.passed), set(told.skipped)
    running = told.running.name if told.running is not None else None
    ended_early = cause is not None or event.signal is not None or told.outcome == outcomes.FAIL
    if ended_early and not failed and running is None and cause is None:
        return [(member, None) for member in members(event.attempt)]  # something is wrong, and nobody knows with whom
    found: List[Tuple[Attempt, Optional[Verdict]]] = []
    for member in members(event.attempt):
        verdict: Optional[Verdict] = None
        if member.unit in failed:
            case = failed[member.unit]
            verdict = Verdict(outcomes.FAIL, failed=(case,), message=case.message or f"{case.name} failed")
        elif member.unit in passed:
            verdict = Verdict(outcomes.PASS, passed=(member.unit,))
        elif member.unit in skipped:
            verdict = Verdict(outcomes.SKIP, message="marked with #[ignore]", skipped=(member.unit,))
        elif member.unit == running:
            alone = Verdict(outcomes.FAIL, message=told.message, running=told.running)
            verdict = conclude(alone, member.unit, event.exit_code, event.signal, cause)
        found.append((member, verdict))
    return found


def divide(
    finished: Sequence[AttemptFinished], expected_s: Sequence[float], begin_s: float, end_s: float, rusage: Rusage
) -> List[AttemptFinished]:
    """Give each attempt of a process its share of the time and of the CPU, one after the other, by what was expected.

    The harness does not tell how long each took. `finished` are in the order in which they ran.
    """
    whole = sum(max(LEAST_S, seconds) for seconds in expected_s)
    at_s = begin_s
    divided: List[AttemptFinished] = []
    for event, seconds in zip(finished, expected_s):  # noqa: B905 - Python 3.8 has no `strict`
        share = max(LEAST_S, seconds) / whole
        duration_s = (end_s - begin_s) * share
        at_s += duration_s
        usage = replace(rusage, user_s=rusage.user_s * share, system_s=rusage.system_s * share)
        divided.append(replace(event, t=min(at_s, end_s), duration_s=duration_s, rusage=usage))
    return divided
