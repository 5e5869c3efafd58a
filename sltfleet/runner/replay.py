"""What a journal says of a run whose runner is gone, so that another one can go on with it. Pure; reads no file.

Every event is told once, in order, to what the runner itself tells it: knowledge, tally, slots. So the numbers go on
where they were. Attempts without an end are given one, `cut`: what became of them nobody can know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import AbstractSet, Dict, List, Optional, Sequence, Set, Tuple, Union

from sltfleet.runner.knowledge import Knowledge
from sltfleet.runner.passes import Progress, seed_of_pass
from sltfleet.runner.schedule import START_TRIES
from sltfleet.runner.slots import Slot, busy_within
from sltfleet.runner.tally import Tally
from sltfleet.wire import events as wire
from sltfleet.wire import outcome as outcomes
from sltfleet.wire.state import RESUMABLE_REASONS

#: The message of an attempt whose end nobody saw.
LOST = "the runner was lost"


@dataclass(frozen=True)
class Past:
    """What is behind a run that is resumed: its clock goes on at `elapsed_s`.

    `lost` are the ends of attempts that were missing, `passes_over` those of passes.
    """

    started: wire.RunStarted
    elapsed_s: float
    #: The number of the last attempt.
    attempts: int
    slots: Tuple[Slot, ...]
    tally: Tally
    knowledge: Knowledge
    progress: Progress
    lost: Tuple[wire.AttemptFinished, ...]
    passes_over: Tuple[wire.PassFinished, ...]
    runner_cpu_s: float


class Replay:
    """Takes in a journal, event by event, from `run-started` on.

    `knowledge` is what earlier runs know of the units; `shard` what the first pass has of them on this host, None for
    all. `queued`: the hosts share a queue, which tells what is complete.
    """

    def __init__(
        self,
        started: wire.RunStarted,
        knowledge: Knowledge,
        shard: Optional[Sequence[str]] = None,
        *,
        queued: bool = False,
    ) -> None:
        self._started = started
        self._shard, self._queued = shard, queued
        self._knowledge = knowledge
        self._last_s = 0.0
        self._attempts = 0
        self._running: Dict[int, wire.AttemptStarted] = {}
        self._ended: Set[int] = set()
        self._slots = [Slot(worker) for worker in range(started.workers)]
        #: By worker: when the last of its attempts that is over ended.
        self._free_s: Dict[int, float] = {}
        self._tally = Tally(len(started.units), shard)
        #: By pass: what needs no attempt in it any more, and how often a unit could not be started.
        self._over: Dict[int, Set[str]] = {}
        self._tries: Dict[Tuple[int, str], int] = {}
        self._complete: Set[int] = set()
        #: The verdicts that the queue is not known to have counted, by the attempt's number: pass and unit.
        self._uncounted: Dict[int, Tuple[int, str]] = {}
        self._runner_cpu_s = 0.0
        #: Why the run came to its own end, None where it did not: then it can be resumed.
        self.reason: Optional[str] = None

    def add(self, event: wire.Event) -> None:
        """Take in the next event."""
        self._last_s = max(self._last_s, event.t)
        if isinstance(event, wire.AttemptStarted):
            self._attempts = max(self._attempts, event.attempt)
            if self._is_of_the_run(event):
                self._over.setdefault(event.pass_number, set())
            if event.attempt not in self._ended:
                self._running[event.attempt] = event
        elif isinstance(event, wire.AttemptFinished):
            self._finished(event)
        elif isinstance(event, wire.Counted):
            for attempt in event.attempts:
                self._uncounted.pop(attempt, None)
        elif isinstance(event, wire.PassFinished):
            self._complete.add(event.pass_number)
        elif isinstance(event, wire.Sample):
            self._runner_cpu_s = max(self._runner_cpu_s, event.runner_cpu_s)
        elif isinstance(event, wire.RunFinished):
            self.reason = None if event.reason in RESUMABLE_REASONS else event.reason
        elif isinstance(event, wire.RunResumed):
            self.reason = None

    def past(self, known_s: float) -> Past:
        """Return all of it; `known_s` is the last time on the run's clock that is known from elsewhere.

        To be called once, behind the last event.
        """
        self._last_s = max(self._last_s, known_s)
        lost = tuple(self._lost(event) for _, event in sorted(self._running.items()))
        passes_over = self._passes_over()
        self._complete.update(event.pass_number for event in passes_over)
        return Past(
            started=self._started,
            elapsed_s=self._last_s,
            attempts=self._attempts,
            slots=tuple(self._slots),
            tally=self._tally,
            knowledge=self._knowledge,
            progress=self._progress(),
            lost=lost,
            passes_over=passes_over,
            runner_cpu_s=self._runner_cpu_s,
        )

    def _lost(self, started: wire.AttemptStarted) -> wire.AttemptFinished:
        """The end of an attempt that was lost with its runner: it kept its worker busy as long as anybody knows.

        Of tests that shared a process the first one stands for that time, as where a process is abandoned.
        """
        since_s = max(started.t, self._free_s.get(started.worker, 0.0))
        ended = _cut(started, self._last_s, since_s)
        self._finished(ended)
        return ended

    def _progress(self) -> Progress:
        return Progress(
            newest=max({*self._over, *self._complete}, default=0),
            complete=frozenset(self._complete),
            over={number: units for number, units in self._over.items() if number not in self._complete},
            uncounted=tuple(
                (number, unit, attempt)
                for attempt, (number, unit) in self._uncounted.items()
                if number not in self._complete
            ),
        )

    def _passes_over(self) -> Tuple[wire.PassFinished, ...]:
        """The ends of passes whose last attempt is over, and which the runner did not come to write down."""
        ends: List[wire.PassFinished] = []
        for number, over in self._over.items():
            units: AbstractSet[str] = frozenset(self._started.units)
            if number == 1 and self._shard is not None:
                units = frozenset(self._shard)
            if not self._queued and number not in self._complete and units and units <= over:
                ends.append(wire.PassFinished(t=self._last_s, pass_number=number, units=len(units)))
        return tuple(ends)

    def _is_of_the_run(self, event: Union[wire.AttemptStarted, wire.AttemptFinished]) -> bool:
        """With a queue the passes that a host made while it was out of reach are its own, and tell nothing."""
        return not self._queued or event.seed == seed_of_pass(self._started.seed, event.pass_number)

    def _finished(self, event: wire.AttemptFinished) -> None:
        if event.attempt in self._ended:
            return  # the first end counts, as in the results database
        self._ended.add(event.attempt)
        self._running.pop(event.attempt, None)
        self._attempts = max(self._attempts, event.attempt)
        self._tally.add(event)
        self._knowledge.learn(event)
        self._free_s[event.worker] = max(event.t, self._free_s.get(event.worker, 0.0))
        if event.worker < len(self._slots):
            slot = self._slots[event.worker]
            slot.attempts += 1
            slot.busy_s += busy_within(event.t - event.duration_s, event.t, self._started.budget_s)
        if not self._is_of_the_run(event):
            return
        over = self._over.setdefault(event.pass_number, set())
        if event.outcome == outcomes.INFRA:
            key = event.pass_number, event.unit
            self._tries[key] = self._tries.get(key, 0) + 1
            if self._tries[key] >= START_TRIES:
                over.add(event.unit)
        elif event.outcome != outcomes.CUT:
            over.add(event.unit)
            if self._queued:
                self._uncounted[event.attempt] = (event.pass_number, event.unit)


def _cut(event: wire.AttemptStarted, now: float, since_s: float) -> wire.AttemptFinished:
    """The end of an attempt that nobody saw, and that is taken to have run since `since_s`."""
    return wire.AttemptFinished(
        t=now,
        attempt=event.attempt,
        unit=event.unit,
        worker=event.worker,
        pass_number=event.pass_number,
        seed=event.seed,
        outcome=outcomes.CUT,
        duration_s=max(0.0, now - since_s),
        message=LOST,
    )


def kept_units(past: Past, found: Sequence[str]) -> Tuple[Set[str], Tuple[str, ...]]:
    """Return which of the units that the tree has now are the run's, and a note where some of those are gone.

    Tests may have made or deleted files there since.
    """
    known = set(past.started.units)
    gone = sorted(known.difference(found))
    note = (f"{len(gone)} units of the run are not in its tree any more, {gone[0]} for one",) if gone else ()
    return known.intersection(found), note
