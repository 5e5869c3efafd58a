"""Which entry of a pass may be started now: the rules that a host alone and a host with a shared queue have in common.

A unit does not run beside itself; units in quarantine run one at a time; what does not fit into what is left of the
budget is set aside, the shortest to be tried at the end; for some units there is no memory at the moment. Where the
entries come from and in which order is `schedule`'s and `queue_claims`'. Pure. The reasons are in
docs/decisions/007-what-comes-next.md.
"""

from __future__ import annotations

from collections import deque
from typing import Callable, Deque, Dict, Iterator, Optional, Tuple

from sltfleet.runner.knowledge import Knowledge
from sltfleet.runner.passes import Aside, Entry, Judgement

FIRST_PASS = 1

#: A unit of the first pass that does not fit is tried nevertheless while this part of its duration is left: coverage
#: is what a run owes first, and durations vary.
CHANCE = 0.5

#: When memory is short so many units are asked about before the worker is told to wait.
LOOK_AHEAD = 256

#: An entry and the number of its pass.
Placed = Tuple[int, Entry]


class Turns:
    """What runs on this host, what waits for something else than its turn in a pass, and whether an entry may start."""

    def __init__(self, knowledge: Knowledge, units: int) -> None:
        """`units`: how many the run has."""
        self._knowledge = knowledge
        self._units = units
        #: How many attempts of a unit run, and the one in quarantine that does.
        self._running: Dict[str, int] = {}
        self._confined: Optional[str] = None
        #: Entries in quarantine, which wait for one another.
        self._held: Deque[Placed] = deque()
        #: What does not fit into what is left: of the first pass, and of all others.
        self.uncovered, self.aside = Aside(), Aside()
        # About the choice that is being made:
        self.remaining_s = 0.0
        self._admits: Callable[[str], bool] = _nothing
        #: For how many entries there was no memory.
        self.refused = 0

    def choose(self, remaining_s: float, admits: Callable[[str], bool]) -> None:
        """A choice begins: so much is left of the budget, and `admits` says whether there is memory for a unit."""
        self.remaining_s, self._admits, self.refused = remaining_s, admits, 0

    # --- what runs ---------------------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether anything runs."""
        return bool(self._running)

    def is_running(self, unit: str) -> bool:
        """Whether an attempt of the unit runs on this host."""
        return unit in self._running

    def started(self, unit: str) -> None:
        """An attempt of the unit begins."""
        self._running[unit] = self._running.get(unit, 0) + 1
        if unit in self._knowledge.quarantined:
            self._confined = unit

    def ended(self, unit: str) -> None:
        """An attempt of the unit is over."""
        left = self._running[unit] - 1
        if left:
            self._running[unit] = left
            return
        del self._running[unit]
        if unit == self._confined:
            self._confined = None

    # --- what waits --------------------------------------------------------------------------------------------------

    @property
    def all_quarantined(self) -> bool:
        """Whether there is no unit outside of quarantine: then it keeps none from running."""
        return len(self._knowledge.quarantined) >= self._units

    @property
    def quarantine_is_idle(self) -> bool:
        """Whether no unit in quarantine runs or waits."""
        return not self._held and self._confined is None

    def waiting(self) -> Iterator[Placed]:
        """Yield what waits for something else than its turn."""
        yield from self._held
        yield from self.uncovered.entries()
        yield from self.aside.entries()

    def forget_waiting(self) -> None:
        """What waits is no longer this host's."""
        self._held.clear()
        self.uncovered, self.aside = Aside(), Aside()

    def put_aside(self, number: int, entry: Entry) -> None:
        """An entry of that pass does not fit into what is left of the budget."""
        place = self.uncovered if number == FIRST_PASS and not entry.extra else self.aside
        place.push(self._knowledge.expected_s(entry.unit) or 0.0, number, entry)

    # --- what may start, each of them removed from what waits --------------------------------------------------------

    def out_of_quarantine(self) -> Optional[Placed]:
        """Return an entry in quarantine whose turn has come: one at a time."""
        for _ in range(0 if self._confined is not None else len(self._held)):
            number, entry = self._held.popleft()
            judgement = self.judge(number, entry)
            if judgement is Judgement.TAKE:
                return number, entry
            if judgement is not Judgement.ASIDE:
                self._held.append((number, entry))
        return None

    def last_of_first_pass(self) -> Optional[Placed]:
        """Return what may not fit and still has a chance, for when the first pass has nothing else left."""
        shortest_s = self.uncovered.shortest_s
        if shortest_s is None or self.remaining_s < CHANCE * shortest_s:
            return None
        return self.uncovered.take(self._judge_whatever_fits)

    def best_chance(self) -> Optional[Placed]:
        """Return the shortest of what does not fit, of the first pass if there is any."""
        return self.uncovered.take(self._judge_whatever_fits) or self.aside.take(self._judge_whatever_fits)

    def judge(self, number: int, entry: Entry) -> Judgement:
        """Whether an entry of that pass may start now; one to be set aside is kept here until it may."""
        if not self._knowledge.fits(entry.unit, self.remaining_s):
            self.put_aside(number, entry)
            return Judgement.ASIDE
        if self._is_held(entry.unit):
            if not entry.extra:
                self._held.append((number, entry))
            return Judgement.ASIDE
        return self._judge_whatever_fits(entry)

    def _judge_whatever_fits(self, entry: Entry) -> Judgement:
        if entry.unit in self._running or self._is_held(entry.unit):
            return Judgement.SKIP
        if self._admits(entry.unit):
            return Judgement.TAKE
        self.refused += 1
        return Judgement.STOP if self.refused >= LOOK_AHEAD else Judgement.SKIP

    def _is_held(self, unit: str) -> bool:
        """Whether the unit is in quarantine, and must wait because another one of those runs."""
        return self._confined is not None and unit in self._knowledge.quarantined and not self.all_quarantined


def _nothing(_unit: str) -> bool:
    return False
