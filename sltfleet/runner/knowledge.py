"""What is known of each unit: what earlier runs know, and what this run has learned since.

The schedule asks how long a unit takes, whether it failed and whether it hangs; the timeout asks for its longest
duration, admission for its peak of memory. Pure; fed with every finished attempt.
"""

from __future__ import annotations

from typing import Dict, List, Mapping, Optional, Sequence, Set

from sltfleet.wire import outcome as outcomes
from sltfleet.wire.events import AttemptFinished
from sltfleet.wire.spec import Limits, UnitHistory

#: A unit of which nothing is known: never tested.
UNKNOWN = UnitHistory(rank=1)

FAILED_BEFORE = 0

#: The expected duration is the median of so many of the latest ones: it follows a load that changes, and one attempt
#: that was held up does not spoil it.
SAMPLES = 5

#: A unit fits into what is left of the budget when so many times its expected duration does.
MARGIN = 1.1


class Knowledge:
    """What is known of the units of a run."""

    def __init__(
        self,
        history: Optional[Mapping[str, UnitHistory]] = None,
        limits: Optional[Limits] = None,
        speed: float = 1.0,
    ) -> None:
        """Without `limits` every unit may take the default timeout, and failing units come as often as the others.

        `speed` is this host's: it takes 1 / speed for what takes the reference a second.
        """
        self._history = history or {}
        self._limits = limits or Limits(retry_weight=1)
        self._durations: Dict[str, List[float]] = {}
        self._expected: Dict[str, float] = {}
        self._longest: Dict[str, float] = {}
        self._peaks: Dict[str, int] = {}
        self._least_peak = 0
        self._timeouts: Dict[str, int] = {}
        #: Units whose latest verdict speaks against them, and units that the same build both passed and failed.
        self._failing: Set[str] = set()
        self._flaky: Set[str] = set()
        #: By verdicts of this run only: what failed with an older build and passes now is mended, not flaky.
        self._seen_bad: Set[str] = set()
        self._seen_good: Set[str] = set()
        #: Units that timed out too often in a row, longest quarantined first.
        self.quarantined: Dict[str, None] = {}
        for unit, known in self._history.items():
            self._start_from(unit, known, speed)

    @property
    def retry_weight(self) -> int:
        """So often per pass a failing or flaky unit is attempted."""
        return self._limits.retry_weight

    def rank(self, unit: str) -> int:
        """What earlier runs say: 0 failed before, 1 never tested, 2 passed before."""
        return self._history.get(unit, UNKNOWN).rank

    def expected_s(self, unit: str) -> Optional[float]:
        """Return how long the unit will take, None where nobody knows."""
        return self._expected.get(unit)

    def fits(self, unit: str, remaining_s: float) -> bool:
        """Whether the unit will be over within `remaining_s`; one of which nobody knows has its chance."""
        return self._expected.get(unit, 0.0) * MARGIN <= remaining_s

    def peak_bytes(self, unit: str) -> int:
        """Return the most memory that one process of the unit ever used, 0 where nobody knows."""
        return self._peaks.get(unit, 0)

    @property
    def least_peak_bytes(self) -> int:
        """The least that any unit is known to use, 0 where nothing is known: the executable itself, more or less."""
        return self._least_peak

    def suspects(self, units: Sequence[str]) -> List[str]:
        """Return those of the units that fail or are flaky; those that time out cost more than they tell."""
        found = (self._failing | self._flaky) - self._timeouts.keys()
        return [unit for unit in units if unit in found] if found else []

    def timeouts(self, unit: str) -> int:
        """Return how many of the unit's latest attempts in a row were timed out."""
        return self._timeouts.get(unit, 0)

    def timeout_s(self, unit: str) -> float:
        """Return how long the unit may take.

        Each timeout in a row doubles what follows from the unit's duration: on a host that is slower or busier than
        the one that was measured, a factor that is too small must not become a verdict for ever.
        """
        limits, longest_s = self._limits, self._longest.get(unit)
        if limits.timeout_factor is None or longest_s is None:
            return limits.timeout_s
        limit_s = max(limits.timeout_floor_s, limits.timeout_factor * longest_s) * 2.0 ** min(self.timeouts(unit), 32)
        return min(limits.timeout_s, limit_s)

    def learn(self, event: AttemptFinished) -> None:
        """Take in an attempt that is over. One without a verdict tells of its memory only."""
        unit = event.unit
        self._used(unit, event.rusage.max_rss_bytes)
        if event.outcome not in outcomes.VERDICTS:
            return
        self._took(unit, event.duration_s)
        if event.outcome == outcomes.TIMEOUT:
            self._timed_out(unit, self.timeouts(unit) + 1)
        else:
            self._timed_out(unit, 0)
            self._longest[unit] = max(self._longest.get(unit, 0.0), event.duration_s)
        if event.outcome in outcomes.BAD:
            self._failing.add(unit)
            self._seen_bad.add(unit)
        elif event.outcome == outcomes.PASS:
            self._failing.discard(unit)
            self._seen_good.add(unit)
        if unit in self._seen_bad and unit in self._seen_good:
            self._flaky.add(unit)

    def _start_from(self, unit: str, known: UnitHistory, speed: float) -> None:
        if known.expected_s is not None:
            self._took(unit, known.expected_s / speed)
        if known.longest_s is not None:
            self._longest[unit] = known.longest_s / speed
        self._used(unit, known.peak_bytes)
        self._timed_out(unit, known.timeouts)
        if known.rank == FAILED_BEFORE:
            self._failing.add(unit)
        if known.flaky_rate > 0:
            self._flaky.add(unit)

    def _took(self, unit: str, duration_s: float) -> None:
        samples = self._durations.setdefault(unit, [])
        samples.append(duration_s)
        del samples[:-SAMPLES]
        self._expected[unit] = sorted(samples)[len(samples) // 2]

    def _used(self, unit: str, peak_bytes: int) -> None:
        if peak_bytes > 0:
            self._peaks[unit] = max(self._peaks.get(unit, 0), peak_bytes)
            self._least_peak = min(self._least_peak or peak_bytes, peak_bytes)

    def _timed_out(self, unit: str, in_a_row: int) -> None:
        if in_a_row:
            self._timeouts[unit] = in_a_row
        else:
            self._timeouts.pop(unit, None)
        if in_a_row >= self._limits.quarantine_after:
            self.quarantined.setdefault(unit)
        else:
            self.quarantined.pop(unit, None)
