"""Which unit a free worker gets next.

The dispatcher knows a scheduler only by the Protocol `Scheduler`. `PassScheduler` hands out pass after pass, in the
orders of `passes`; `turns` says what of it may start now. Workers flow from one pass into the next: nobody waits for a
straggler. Towards the end of the budget only units that still fit into it are handed out, as long as there are any.
Pure: no clock, no I/O; the same seed, units, history and durations give the same plan. The rules and their reasons are
in docs/decisions/007-what-comes-next.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import AbstractSet, Callable, Dict, List, Optional, Protocol, Sequence, Tuple, Union

from sltfleet.runner.knowledge import Knowledge
from sltfleet.runner.passes import (
    QUARANTINE_EVERY,
    Entry,
    Judgement,
    Pass,
    Progress,
    first_order,
    later_order,
    seed_of_pass,
)
from sltfleet.runner.turns import FIRST_PASS, Turns

#: So often a unit that could not be started goes back into its pass.
START_TRIES = 3

#: A worker for whose next attempt there is no memory asks again after this, and whenever an attempt ends.
WAIT_S = 0.5


@dataclass(frozen=True)
class Assignment:
    """A unit handed out in a pass, with that pass's seed. `extra`: it does not count for the pass."""

    unit: str
    pass_number: int
    seed: int
    extra: bool = False


@dataclass(frozen=True)
class Wait:
    """There is no unit at the moment that may be started; there will be one.

    The worker waits for memory, or else for the queue that the hosts share, and asks again after `again_s`.
    """

    for_memory: bool = True
    again_s: float = WAIT_S


Choice = Union[Assignment, Wait, None]


def everything(_unit: str) -> bool:
    """Admit every unit."""
    return True


class Scheduler(Protocol):
    """What the dispatcher asks of a schedule."""

    @property
    def shard(self) -> Optional[Sequence[str]]:
        """The units of the first pass that are this host's, None for all."""

    def size_of(self, pass_number: int) -> int:
        """How many units a pass that was opened has on this host."""

    @property
    def pass_number(self) -> int:
        """The newest pass of which a unit was handed out, from 1."""

    @property
    def passes_finished(self) -> int:
        """How many passes are complete."""

    @property
    def fleet_covered(self) -> Optional[int]:
        """How many units all hosts together have covered, where they share a queue that has told."""

    @property
    def oldest_pass(self) -> int:
        """The oldest pass that is not complete."""

    def next_unit(self, worker: int, now: float, remaining_s: float, admits: Callable[[str], bool], /) -> Choice:
        """Hand out a unit to `worker`; None where there will never be one again for it.

        `now` is on the run's clock, `remaining_s` is what is left of the budget; `admits` says whether there is memory
        for a unit. Wait is answered only while other attempts run.
        """

    def finished(self, assignment: Assignment, attempt: int = 0, /) -> Tuple[int, ...]:
        """The unit has been attempted, by the attempt of that number. Returns the passes that are complete by it."""

    def not_started(self, assignment: Assignment) -> Tuple[int, ...]:
        """The unit could not be started. Returns the passes that are complete now that it is given up."""

    def put_back(self, assignment: Assignment) -> None:
        """The unit's attempt was stopped for want of memory: it comes again in its pass."""


class PassScheduler:
    """Pass after pass over all units, `passes` times (None: without end).

    On one of several hosts `shard` is what the first pass of this host has of the units: the second takes what is not
    in it first, and the passes after it are this host's own, which its name as `salt` makes differ from the others'.
    `progress` is what is behind the schedule already; of the passes under way the units in `ahead` come first.

    A unit is not started while an earlier attempt of it still runs, as long as the current or the next pass has
    another one. Looking further ahead would starve long units: their attempts would pile up behind one another, and
    passes would never be complete.
    """

    def __init__(
        self,
        units: Sequence[str],
        seed: int,
        knowledge: Optional[Knowledge] = None,
        passes: Optional[int] = None,
        *,
        shard: Optional[Sequence[str]] = None,
        salt: str = "",
        progress: Progress = Progress(),  # noqa: B008 - it cannot change
        ahead: AbstractSet[str] = frozenset(),
    ) -> None:
        if not units:
            raise ValueError("a schedule needs a unit")
        self._units = tuple(units)
        self._shard = self._units if shard is None else tuple(shard)
        self._seed, self._salt = seed, salt
        self._knowledge = knowledge or Knowledge()
        self._limit = passes
        #: The passes that are not complete, by number, and the number of the newest one ever opened.
        self._open: Dict[int, Pass] = {}
        #: How many units each of them has, and the newest of those before.
        self._sizes: Dict[int, int] = {}
        self._newest = progress.newest
        #: The oldest pass that may have pending units.
        self._front = 1
        self._turns = Turns(self._knowledge, len(self._units))
        self._pass_number = max(1, progress.newest)
        self._passes_finished = len(progress.complete)
        #: The units that fitted when the newest pass was opened: the remaining time only ever gets less.
        self._fitting: Sequence[str] = self._units
        for number, over in sorted(progress.over.items()):
            if self._open_pass(number, self._without_quarantine(self._units_of(number), number), over=over):
                # The next one is the last element.
                self._open[number].pending.sort(key=lambda entry: entry.unit in ahead)
        if not self._shard and not self._newest:
            self._newest = 1  # more hosts than units

    @property
    def shard(self) -> Optional[Sequence[str]]:
        return self._shard if len(self._shard) < len(self._units) else None

    def size_of(self, pass_number: int) -> int:
        return self._sizes.get(pass_number, 0)

    @property
    def pass_number(self) -> int:
        return self._pass_number

    @property
    def passes_finished(self) -> int:
        return self._passes_finished

    @property
    def fleet_covered(self) -> Optional[int]:
        return None

    @property
    def oldest_pass(self) -> int:
        return min(self._open, default=self._newest + 1)

    def next_unit(
        self, _worker: int, _now: float, remaining_s: float, admits: Callable[[str], bool] = everything, /
    ) -> Choice:
        self._turns.choose(remaining_s, admits)
        for choose in (
            self._turns.out_of_quarantine,
            self._of_first_pass,
            self._of_current_pass,
            self._of_following_pass,
            self._turns.best_chance,
        ):
            found = choose()
            if found is not None:
                return self._hand_out(*found)
        if self._turns.refused and self._turns.busy:
            return Wait()
        found = self._beside_itself()
        return None if found is None else self._hand_out(*found)

    def finished(self, assignment: Assignment, _attempt: int = 0, /) -> Tuple[int, ...]:
        self._turns.ended(assignment.unit)
        if assignment.extra:
            return ()
        one = self._open[assignment.pass_number]
        one.unfinished -= 1
        if one.unfinished:
            return ()
        del self._open[one.number]
        if not one.whole:
            return ()
        self._passes_finished += 1
        return (one.number,)

    def not_started(self, assignment: Assignment) -> Tuple[int, ...]:
        if assignment.extra:
            return self.finished(assignment)
        one = self._open[assignment.pass_number]
        tries = one.tries.get(assignment.unit, 0) + 1
        one.tries[assignment.unit] = tries
        if tries >= START_TRIES:
            return self.finished(assignment)
        self.put_back(assignment)
        return ()

    def put_back(self, assignment: Assignment) -> None:
        self._turns.ended(assignment.unit)
        if not assignment.extra:
            self._open[assignment.pass_number].put_back(Entry(assignment.unit))
            self._front = min(self._front, assignment.pass_number)

    # --- where a unit may come from, in this order -------------------------------------------------------------------

    def _of_first_pass(self) -> Optional[Tuple[int, Entry]]:
        """When the first pass has no other unit left: those that may not fit, and still have a chance."""
        return None if self._has_pending(FIRST_PASS) else self._turns.last_of_first_pass()

    def _of_current_pass(self) -> Optional[Tuple[int, Entry]]:
        """The oldest pass that has a unit which fits; a new one where there is none."""
        while True:
            while self._front <= self._newest and not self._has_pending(self._front):
                self._front += 1
            if self._front > self._newest and not self._open_next():
                return None
            entry = self._take(self._front)
            if entry is not None:
                return self._front, entry
            if self._has_pending(self._front):
                return None

    def _of_following_pass(self) -> Optional[Tuple[int, Entry]]:
        number = self._front + 1
        if number > self._newest and not (self._front <= self._newest and self._open_next()):
            return None
        entry = self._take(number)
        return None if entry is None else (number, entry)

    def _beside_itself(self) -> Optional[Tuple[int, Entry]]:
        """All that is left runs already, or there is nothing left that fits: anything is better than an idle worker."""
        if not self._has_pending(self._front):
            found = self._turns.aside.take(lambda _entry: Judgement.TAKE)
            if found is not None or not self._open_next(whatever_fits=True):
                return found
        return self._front, self._open[self._front].pending.pop()

    # --- the passes --------------------------------------------------------------------------------------------------

    def _has_pending(self, number: int) -> bool:
        one = self._open.get(number)
        return one is not None and bool(one.pending)

    def _take(self, number: int) -> Optional[Entry]:
        one = self._open.get(number)
        return None if one is None else one.take(lambda entry: self._turns.judge(number, entry))

    def _open_next(self, whatever_fits: bool = False) -> bool:
        """Open the next pass and return True; False where it is beyond the last one or nothing fits any more."""
        number = self._newest + 1
        if self._limit is not None and number > self._limit:
            return False
        wanted = units = self._units_of(number)
        weight = 1
        if self._limit is None and not whatever_fits:
            weight = self._knowledge.retry_weight
            units = self._those_that_fit(wanted)
        whole = len(units) == len(wanted)
        if not self._open_pass(number, self._without_quarantine(units, number), weight, whole):
            return False
        self._newest = number
        return True

    def _open_pass(
        self,
        number: int,
        units: Sequence[str],
        weight: int = 1,
        whole: bool = True,
        over: AbstractSet[str] = frozenset(),
    ) -> bool:
        """Open a pass over the units, without those that are over in it; False where none is left."""
        seed = seed_of_pass(self._seed, number, self._salt)
        if number == FIRST_PASS:
            order = [Entry(unit) for unit in first_order(units, self._knowledge, seed)]
        else:
            order = later_order(units, self._knowledge, seed, weight)
        self._sizes = {number: len(units), **{one: self._sizes[one] for one in self._open}}
        order = [entry for entry in order if entry.unit not in over]
        if number == 2 and len(self._shard) < len(self._units):
            own = frozenset(self._shard)
            order.sort(key=lambda entry: entry.unit in own)
        if not order:
            return False
        self._open[number] = Pass(number, seed, order, whole)
        return True

    def _units_of(self, number: int) -> Sequence[str]:
        """The shard in the first pass, and where the passes are counted: the hosts make each of them together."""
        return self._shard if number == FIRST_PASS or self._limit is not None else self._units

    def _without_quarantine(self, units: Sequence[str], number: int) -> Sequence[str]:
        """Leave out what is in quarantine, but for the first and every so many-th pass, once the one before is over."""
        quarantined = self._knowledge.quarantined
        has_its_turn = number % QUARANTINE_EVERY == 0 and self._turns.quarantine_is_idle
        if number == FIRST_PASS or not quarantined or self._turns.all_quarantined or has_its_turn:
            return units
        return [unit for unit in units if unit not in quarantined]

    def _those_that_fit(self, units: Sequence[str]) -> Sequence[str]:
        """The units for a new pass; what has fitted until now is set aside."""
        if not self._newest:
            return units
        fitting: List[str] = []
        for unit in self._fitting:
            if self._knowledge.fits(unit, self._turns.remaining_s):
                fitting.append(unit)
            else:
                self._turns.put_aside(self._newest, Entry(unit, extra=True))
        self._fitting = fitting
        return fitting

    def _hand_out(self, number: int, entry: Entry) -> Assignment:
        self._turns.started(entry.unit)
        self._pass_number = max(self._pass_number, number)
        return Assignment(entry.unit, number, seed_of_pass(self._seed, number, self._salt), entry.extra)
