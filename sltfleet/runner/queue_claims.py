"""What this host has claimed of the shared queue and not started yet, and what of it comes next. Pure.

What may start now is `turns`' to say, by the same rules as without a queue.
"""

from __future__ import annotations

import math
from typing import Callable, List, NamedTuple, Optional, Set, Tuple

from sltfleet.runner.knowledge import Knowledge
from sltfleet.runner.passes import Entry, Judgement
from sltfleet.runner.turns import FIRST_PASS, Turns

#: Claims ahead are for so many round trips, and at least for so long. They are renewed when half of them are started.
AHEAD_TRIPS = 4
AHEAD_S = 0.1

#: As long as this many times as much is left as the fleet has workers, a host may claim one further unit per worker.
GUIDE = 2


class Claim(NamedTuple):
    """An entry of a pass that this host may run."""

    pass_number: int
    entry: Entry


class Claims:
    """The claims of one host that are not started, and what runs on it."""

    def __init__(self, knowledge: Knowledge, units: int) -> None:
        """`units`: how many the run has."""
        self._turns = Turns(knowledge, units)
        self._pending: List[Claim] = []
        #: In which passes units run.
        self._places: List[Tuple[int, str]] = []

    def __len__(self) -> int:
        """How many claims may come in their turn."""
        return len(self._pending)

    @property
    def busy(self) -> bool:
        """Whether anything runs."""
        return self._turns.busy

    @property
    def refused(self) -> int:
        """How many claims there was no memory for when one was asked for last."""
        return self._turns.refused

    def is_running(self, unit: str) -> bool:
        """Whether an attempt of the unit runs on this host."""
        return self._turns.is_running(unit)

    def units_of(self, pass_number: int) -> Set[str]:
        """Return the units of a pass that run, or are to."""
        waiting = {entry.unit for number, entry in (*self._pending, *self._turns.waiting()) if number == pass_number}
        return waiting | {unit for number, unit in self._places if number == pass_number}

    def add(self, claim: Claim) -> None:
        """The queue has handed out an entry to this host."""
        self._pending.append(claim)
        if len(self._pending) > 1 and self._pending[-2].pass_number > claim.pass_number:
            self._pending.sort(key=lambda one: one.pass_number)

    def drop(self) -> None:
        """What is not started has gone to others."""
        self._pending.clear()
        self._turns.forget_waiting()

    def started(self, pass_number: int, unit: str) -> None:
        """An attempt of the unit begins."""
        self._places.append((pass_number, unit))
        self._turns.started(unit)

    def ended(self, pass_number: int, unit: str) -> None:
        """An attempt of the unit is over."""
        self._places.remove((pass_number, unit))
        self._turns.ended(unit)

    # --- what may be started, each of them removed from the claims -----------------------------------------------

    def take(self, remaining_s: float, admits: Callable[[str], bool]) -> Optional[Claim]:
        """Return the next claim whose turn it is, None where there is none."""
        self._turns.choose(remaining_s, admits)
        held = self._turns.out_of_quarantine()
        if held is None and not (self._pending and self._pending[0].pass_number == FIRST_PASS):
            held = self._turns.last_of_first_pass()
        return self._in_turn() if held is None else Claim(*held)

    def best_chance(self) -> Optional[Claim]:
        """Return the shortest of those that do not fit any more, None where there is none."""
        found = self._turns.best_chance()
        return None if found is None else Claim(*found)

    def beside_itself(self) -> Optional[Claim]:
        """Return the next one, whatever speaks against it; None where there is none at all."""
        if self._pending:
            return self._pending.pop(0)
        for place in (self._turns.uncovered, self._turns.aside):
            found = place.take(lambda _entry: Judgement.TAKE)
            if found is not None:
                return Claim(*found)
        return None

    def _in_turn(self) -> Optional[Claim]:
        index = 0
        while index < len(self._pending):
            claim = self._pending[index]
            judgement = self._turns.judge(*claim)
            if judgement is Judgement.STOP:
                return None
            if judgement is Judgement.SKIP:
                index += 1
                continue
            del self._pending[index]
            if judgement is Judgement.TAKE:
                return claim
        return None


def claims_ahead(pace: float, latency_s: float, workers: int, fleet_workers: int, left: Optional[int]) -> int:
    """Return how many units a host should hold that none of its workers waits for yet.

    As many as are started until an answer comes (`pace` per second, an exchange takes `latency_s`); and one for each of
    its workers, since they may all be free at once. When what is `left` for the fleet's workers gets little, that
    becomes less (guided self-scheduling: Polychronopoulos and Kuck, IEEE Trans. Computers C-36, 1987), because what one
    host holds at the end of a pass others wait for. None: more will come.
    """
    until_answered = math.ceil(pace * max(AHEAD_S, AHEAD_TRIPS * latency_s))
    guided = workers if left is None else left * workers // (GUIDE * fleet_workers)
    return max(1, until_answered, min(workers, guided))
