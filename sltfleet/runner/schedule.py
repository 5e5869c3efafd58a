"""Which unit a free worker gets next.

The dispatcher knows a scheduler only by the Protocol `Scheduler`. `PassScheduler` hands out pass after pass: the first
in an order that finds failures early (failed before, then never tested, then passed before; inside each group the
longest expected first, so that no long unit is left for the end), every later one newly shuffled. Workers flow from
one pass into the next: nobody waits for a straggler. Pure: no clock, no I/O; the same seed gives the same plan.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from typing import Container, Dict, List, Mapping, Optional, Protocol, Sequence, Tuple

from sltfleet.wire.spec import UnitHistory

#: So often a unit that could not be started goes back into its pass.
START_TRIES = 3

#: A unit of which nothing is known: never tested.
UNKNOWN = UnitHistory(rank=1)


@dataclass(frozen=True)
class Assignment:
    """A unit handed out in a pass, with that pass's seed."""

    unit: str
    pass_number: int
    seed: int


class Scheduler(Protocol):
    """What the dispatcher asks of a schedule."""

    @property
    def pass_number(self) -> int:
        """The newest pass of which a unit was handed out, from 1."""

    @property
    def passes_finished(self) -> int:
        """How many passes are complete."""

    @property
    def oldest_pass(self) -> int:
        """The oldest pass that is not complete."""

    def next_unit(self, worker: int, now: float, remaining_s: float, /) -> Optional[Assignment]:
        """Hand out a unit to `worker`; None where there will never be one again for it.

        `now` is on the run's clock, `remaining_s` is what is left of the budget.
        """

    def finished(self, assignment: Assignment) -> Tuple[int, ...]:
        """The unit has been attempted. Returns the passes that are complete by it."""

    def not_started(self, assignment: Assignment) -> Tuple[int, ...]:
        """The unit could not be started. Returns the passes that are complete now that it is given up."""


def seed_of_pass(seed: int, pass_number: int) -> int:
    """Return the seed of a pass: the run's own for the first, 31 bits derived from it for each later one."""
    if pass_number == 1:
        return seed
    digest = hashlib.sha256(f"{seed}/{pass_number}".encode("ascii")).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def first_order(units: Sequence[str], history: Mapping[str, UnitHistory], seed: int) -> List[str]:
    """Return the units in the order of the first pass."""
    shuffled = shuffled_order(units, seed)

    def key(unit: str) -> Tuple[int, bool, float]:
        known = history.get(unit, UNKNOWN)
        return known.rank, known.expected_s is None, -(known.expected_s or 0.0)

    return sorted(shuffled, key=key)


def shuffled_order(units: Sequence[str], seed: int) -> List[str]:
    """Return the units in the random order that `seed` stands for."""
    order = sorted(units)
    random.Random(seed).shuffle(order)
    return order


class _Pass:
    """One traversal of all units: what is still to be handed out, and how many are not over yet."""

    def __init__(self, number: int, seed: int, order: Sequence[str]) -> None:
        self.number = number
        self.seed = seed
        #: The next unit is the last element, so that taking it is cheap.
        self.pending = list(reversed(order))
        self.unfinished = len(order)
        self.tries: Dict[str, int] = {}

    def take(self, avoid: Container[str]) -> Optional[str]:
        """Remove and return the first pending unit that is not in `avoid`."""
        for index in range(len(self.pending) - 1, -1, -1):
            if self.pending[index] not in avoid:
                return self.pending.pop(index)
        return None


class PassScheduler:
    """Pass after pass over all units, `passes` times (None: without end).

    A unit is not started while an earlier attempt of it still runs, as long as the current or the next pass has
    another one. Looking further ahead would starve long units: their attempts would pile up behind one another, and
    passes would never be complete.
    """

    def __init__(
        self,
        units: Sequence[str],
        seed: int,
        history: Optional[Mapping[str, UnitHistory]] = None,
        passes: Optional[int] = None,
    ) -> None:
        if not units:
            raise ValueError("a schedule needs a unit")
        self._units = tuple(units)
        self._seed = seed
        self._history = history or {}
        self._limit = passes
        #: The passes that are not complete, by number, and the number of the newest one ever opened.
        self._open: Dict[int, _Pass] = {}
        self._newest = 0
        #: The oldest pass that may have pending units.
        self._front = 1
        #: How many attempts of a unit run.
        self._running: Dict[str, int] = {}
        self._pass_number = 1
        self._passes_finished = 0

    @property
    def pass_number(self) -> int:
        return self._pass_number

    @property
    def passes_finished(self) -> int:
        return self._passes_finished

    @property
    def oldest_pass(self) -> int:
        return min(self._open, default=self._newest + 1)

    def next_unit(self, _worker: int, _now: float, _remaining_s: float, /) -> Optional[Assignment]:
        while self._front <= self._newest and not self._has_pending(self._front):
            self._front += 1
        current = self._pass(self._front)
        if current is None:
            return None
        unit = current.take(avoid=self._running)
        if unit is not None:
            return self._hand_out(current, unit)
        following = self._pass(self._front + 1)
        if following is not None:
            unit = following.take(avoid=self._running)
            if unit is not None:
                return self._hand_out(following, unit)
        return self._hand_out(current, current.pending.pop())

    def finished(self, assignment: Assignment) -> Tuple[int, ...]:
        self._ended(assignment.unit)
        one = self._open[assignment.pass_number]
        one.unfinished -= 1
        if one.unfinished:
            return ()
        del self._open[one.number]
        self._passes_finished += 1
        return (one.number,)

    def not_started(self, assignment: Assignment) -> Tuple[int, ...]:
        one = self._open[assignment.pass_number]
        tries = one.tries.get(assignment.unit, 0) + 1
        one.tries[assignment.unit] = tries
        if tries >= START_TRIES:
            return self.finished(assignment)
        self._ended(assignment.unit)
        one.pending.insert(0, assignment.unit)
        self._front = min(self._front, one.number)
        return ()

    def _has_pending(self, number: int) -> bool:
        one = self._open.get(number)
        return one is not None and bool(one.pending)

    def _pass(self, number: int) -> Optional[_Pass]:
        """The pass, opened where it is the next one; None where it is complete or beyond the last one."""
        if number <= self._newest:
            return self._open.get(number)
        if self._limit is not None and number > self._limit:
            return None
        seed = seed_of_pass(self._seed, number)
        order = first_order(self._units, self._history, seed) if number == 1 else shuffled_order(self._units, seed)
        self._open[number] = _Pass(number, seed, order)
        self._newest = number
        return self._open[number]

    def _hand_out(self, one: _Pass, unit: str) -> Assignment:
        self._running[unit] = self._running.get(unit, 0) + 1
        self._pass_number = max(self._pass_number, one.number)
        return Assignment(unit, one.number, one.seed)

    def _ended(self, unit: str) -> None:
        left = self._running[unit] - 1
        if left:
            self._running[unit] = left
        else:
            del self._running[unit]
