"""The counts of a run: outcomes, cases, coverage. Pure; fed with every finished attempt."""

from __future__ import annotations

from typing import Dict, List, Optional, Set, Tuple

from sltfleet.wire import outcome as outcomes
from sltfleet.wire.events import AttemptFinished

#: So many failing cases are named in the state file; the journal has them all.
MAX_FAILING = 100


class Tally:
    """What the finished attempts add up to."""

    def __init__(self) -> None:
        self.attempts = 0
        self.outcomes: Dict[str, int] = {}
        self.cases_passed = 0
        self.cases_failed = 0
        self.last_finish_s: Optional[float] = None
        self._covered: Set[str] = set()
        self._failing: Dict[str, None] = {}

    @property
    def covered(self) -> int:
        """Units with at least one verdict."""
        return len(self._covered)

    @property
    def bad(self) -> int:
        """Attempts that say something against the test."""
        return sum(self.outcomes.get(outcome, 0) for outcome in outcomes.BAD)

    @property
    def failing(self) -> Tuple[str, ...]:
        """Distinct cases that have failed, first seen first, at most MAX_FAILING."""
        names: List[str] = list(self._failing)
        return tuple(names)

    def add(self, event: AttemptFinished) -> None:
        """Count an attempt that is over."""
        self.attempts += 1
        self.outcomes[event.outcome] = self.outcomes.get(event.outcome, 0) + 1
        self.cases_passed += len(event.passed)
        self.cases_failed += len(event.failed)
        if event.outcome != outcomes.INFRA:
            self.last_finish_s = event.t
        if event.outcome in outcomes.VERDICTS:
            self._covered.add(event.unit)
        for case in event.failed:
            if len(self._failing) >= MAX_FAILING:
                break
            self._failing.setdefault(case.name)
