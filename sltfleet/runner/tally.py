"""The counts of a run: outcomes, cases, coverage. Pure; fed with every finished attempt."""

from __future__ import annotations

from typing import Dict, Iterable, List, Optional, Set, Tuple

from sltfleet.wire import outcome as outcomes
from sltfleet.wire.coverage import Coverage, is_share
from sltfleet.wire.events import AttemptFinished

#: So many failing cases are named in the state file; the journal has them all.
MAX_FAILING = 100


class Tally:
    """What the finished attempts add up to."""

    def __init__(self, units: int, shard: Optional[Iterable[str]] = None) -> None:
        """There are so many `units`; `shard` is what the first pass has of them on this host, None for all."""
        self.attempts = 0
        self.outcomes: Dict[str, int] = {}
        self.cases_passed = 0
        self.cases_failed = 0
        self.last_finish_s: Optional[float] = None
        self._coverage = Coverage(units)
        self._shard = None if shard is None else frozenset(shard)
        self._of_shard: Set[str] = set()
        self._failing: Dict[str, None] = {}

    @property
    def covered(self) -> int:
        """Units with at least one verdict."""
        return self._coverage.count

    @property
    def share_total(self) -> Optional[int]:
        """How many units of the first pass are this host's, None for all."""
        return None if self._shard is None else len(self._shard)

    @property
    def share_covered(self) -> int:
        """How many of these have a verdict."""
        return len(self._of_shard)

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
            self._coverage.add(event.unit, event.seed)
            # A share K/N of a later pass is another one.
            if self._shard and event.unit in self._shard and (event.pass_number == 1 or not is_share(event.unit)):
                self._of_shard.add(event.unit)
        for case in event.failed:
            if len(self._failing) >= MAX_FAILING:
                break
            self._failing.setdefault(case.name)
