"""What this host has claimed of the shared queue and not started yet, and which of it may be started now. Pure.

The rules are those of `schedule` (docs/decisions/007-what-comes-next.md) for what one host can decide: a unit does not
run beside itself, units in quarantine run one at a time, towards the end of the budget what fits comes first, and for
some units there is no memory at the moment.
"""

from __future__ import annotations

from collections import deque
from typing import Callable, Deque, Dict, List, NamedTuple, Optional, Set, Tuple

from sltfleet.runner.knowledge import Knowledge
from sltfleet.runner.passes import Aside, Entry, Judgement
from sltfleet.runner.schedule import CHANCE, LOOK_AHEAD

FIRST_PASS = 1


class Claim(NamedTuple):
    """An entry of a pass that this host may run."""

    pass_number: int
    entry: Entry


class Claims:
    """The claims of one host that are not started, and what runs on it."""

    def __init__(self, knowledge: Knowledge, units: int) -> None:
        """`units`: how many the run has."""
        self._knowledge = knowledge
        self._units = units
        self._pending: List[Claim] = []
        #: Claims in quarantine, which wait for one another.
        self._held: Deque[Claim] = deque()
        #: What does not fit into what is left of the budget: of the first pass, and of all others.
        self._uncovered, self._aside = Aside(), Aside()
        self._running: Dict[str, int] = {}
        #: In which passes they run.
        self._places: List[Tuple[int, str]] = []
        self._confined: Optional[str] = None
        #: How many claims there was no memory for when one was asked for last.
        self.refused = 0
        self._admits: Callable[[str], bool] = _nothing
        self._remaining_s = 0.0

    def __len__(self) -> int:
        """How many claims may come in their turn."""
        return len(self._pending)

    @property
    def busy(self) -> bool:
        """Whether anything runs."""
        return bool(self._running)

    def is_running(self, unit: str) -> bool:
        """Whether an attempt of the unit runs on this host."""
        return unit in self._running

    def units_of(self, pass_number: int) -> Set[str]:
        """Return the units of a pass that run, or are to."""
        claims = (*self._pending, *self._held)
        waiting = {claim.entry.unit for claim in claims if claim.pass_number == pass_number}
        running = {unit for number, unit in self._places if number == pass_number}
        return waiting | running | self._uncovered.units_of(pass_number) | self._aside.units_of(pass_number)

    def add(self, claim: Claim) -> None:
        """The queue has handed out an entry to this host."""
        self._pending.append(claim)
        if len(self._pending) > 1 and self._pending[-2].pass_number > claim.pass_number:
            self._pending.sort(key=lambda one: one.pass_number)

    def drop(self) -> None:
        """What is not started has gone to others."""
        self._pending.clear()
        self._held.clear()
        self._uncovered, self._aside = Aside(), Aside()

    def started(self, pass_number: int, unit: str) -> None:
        """An attempt of the unit begins."""
        self._places.append((pass_number, unit))
        self._running[unit] = self._running.get(unit, 0) + 1
        if unit in self._knowledge.quarantined:
            self._confined = unit

    def ended(self, pass_number: int, unit: str) -> None:
        """An attempt of the unit is over."""
        self._places.remove((pass_number, unit))
        left = self._running[unit] - 1
        if left:
            self._running[unit] = left
            return
        del self._running[unit]
        if unit == self._confined:
            self._confined = None

    # --- what may be started, each of them removed from the claims -----------------------------------------------

    def take(self, remaining_s: float, admits: Callable[[str], bool]) -> Optional[Claim]:
        """Return the next claim whose turn it is, None where there is none."""
        self._remaining_s, self._admits, self.refused = remaining_s, admits, 0
        return self._out_of_quarantine() or self._of_first_pass() or self._in_turn()

    def best_chance(self) -> Optional[Claim]:
        """Return the shortest of those that do not fit any more, None where there is none."""
        for place in (self._uncovered, self._aside):
            found = place.take(self._judge_whatever_fits)
            if found is not None:
                return Claim(*found)
        return None

    def beside_itself(self) -> Optional[Claim]:
        """Return the next one, whatever speaks against it; None where there is none at all."""
        if self._pending:
            return self._pending.pop(0)
        for place in (self._uncovered, self._aside):
            found = place.take(lambda _entry: Judgement.TAKE)
            if found is not None:
                return Claim(*found)
        return None

    def _out_of_quarantine(self) -> Optional[Claim]:
        for _ in range(0 if self._confined is not None else len(self._held)):
            claim = self._held.popleft()
            judgement = self._judge(claim)
            if judgement is Judgement.TAKE:
                return claim
            if judgement is not Judgement.ASIDE:
                self._held.append(claim)
        return None

    def _of_first_pass(self) -> Optional[Claim]:
        """When the first pass has nothing else left: what may not fit, and still has a chance."""
        shortest_s = self._uncovered.shortest_s
        has_other = bool(self._pending) and self._pending[0].pass_number == FIRST_PASS
        if shortest_s is None or has_other or self._remaining_s < CHANCE * shortest_s:
            return None
        found = self._uncovered.take(self._judge_whatever_fits)
        return None if found is None else Claim(*found)

    def _in_turn(self) -> Optional[Claim]:
        index = 0
        while index < len(self._pending):
            claim = self._pending[index]
            judgement = self._judge(claim)
            if judgement is Judgement.STOP:
                return None
            if judgement is Judgement.SKIP:
                index += 1
                continue
            del self._pending[index]
            if judgement is Judgement.TAKE:
                return claim
        return None

    def _judge(self, claim: Claim) -> Judgement:
        unit = claim.entry.unit
        if not self._knowledge.fits(unit, self._remaining_s):
            place = self._uncovered if claim.pass_number == FIRST_PASS and not claim.entry.extra else self._aside
            place.push(self._knowledge.expected_s(unit) or 0.0, *claim)
            return Judgement.ASIDE
        if self._is_held(unit):
            self._held.append(claim)
            return Judgement.ASIDE
        return self._judge_whatever_fits(claim.entry)

    def _judge_whatever_fits(self, entry: Entry) -> Judgement:
        if entry.unit in self._running or self._is_held(entry.unit):
            return Judgement.SKIP
        if self._admits(entry.unit):
            return Judgement.TAKE
        self.refused += 1
        return Judgement.STOP if self.refused >= LOOK_AHEAD else Judgement.SKIP

    def _is_held(self, unit: str) -> bool:
        """Whether the unit is in quarantine, and must wait because another one of those runs."""
        quarantined = self._knowledge.quarantined
        return self._confined is not None and unit in quarantined and len(quarantined) < self._units


def _nothing(_unit: str) -> bool:
    return False
