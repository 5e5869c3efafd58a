"""A host's side of the conversation with the shared queue: what it has to tell, and what it was told. Pure.

It knows the queue's passes, which verdicts the queue has not been told, and whether the queue can be reached. What is
claimed and what is started is the scheduler's (`queue_schedule`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Set, Tuple

from sltfleet.runner.passes import Progress
from sltfleet.runner.queue_messages import Answer, Exchange, NewPass, Place
from sltfleet.wire import events as wire

#: A verdict waits at most so long for company.
SETTLE_S = 0.2

#: So many verdicts are told at once, at most: one script must not hold up the other hosts.
MOST_SETTLED = 1000


@dataclass(frozen=True)
class Sent:
    """The request under way: when it was made, and which attempts its verdicts are of (0: given up, nobody's)."""

    exchange: Exchange
    at_s: float
    attempts: Tuple[int, ...]


class Dialogue:
    """One host and the queue. `units`: how many the run has; `limit`: how many passes, None for no end."""

    def __init__(self, units: int, lease_s: float, limit: Optional[int], fresh: bool) -> None:
        self._fresh = fresh
        self._units, self._lease_s, self._limit = units, lease_s, limit
        self._number = 0
        self.sent: Optional[Sent] = None
        self._settling: List[Tuple[Place, int]] = []
        self._unsettled_since: Optional[float] = None
        self._back: List[Place] = []
        self._tell_s = 0.0
        # What the queue has told:
        self._epoch = ""
        #: The passes that are complete in this queue; in `complete` are also those of an earlier one.
        self._over: Set[int] = set()
        self.newest, self.oldest, self.finished = 0, 1, 0
        self.left = 0
        self.covered: Optional[int] = None
        #: The passes that are complete, and of the others the units that are known to be done.
        self.complete: Set[int] = set()
        self._done: Dict[int, Set[int]] = {}
        # Whether it can be reached:
        self._down_since: Optional[float] = None
        self._reason = ""
        self._gathering = False
        #: The queue was made anew, and its passes are no longer those that this run is to make.
        self.forsaken = False

    def go_on(self, progress: Progress, index: Mapping[str, int]) -> None:
        """Begin where an earlier runner of this host left off; `index` has the place of each unit.

        Its numbers are told to the queue, so that one that has lost them does not give them a second time. So are all
        verdicts that may not have been counted: the queue says so of those that it knows.
        """
        self.newest, self.finished, self.complete = progress.newest, len(progress.complete), set(progress.complete)
        # With a number of passes each one is to be made, also where this host had no part in it yet.
        begun = progress.over.keys() if self._limit is None else set(range(1, self.newest + 1)) - self.complete
        self.oldest = min(begun, default=self.newest + 1)
        for number, units in progress.over.items():
            self._done[number] = {index[unit] for unit in units if unit in index}
        for number, unit, attempt in progress.uncounted:
            if unit in index:
                self.settle((number, index[unit]), attempt, 0.0)

    @property
    def out_of_touch(self) -> bool:
        """Whether nothing can be had of the queue at the moment."""
        return self.forsaken or self._gathering or self._down_since is not None

    @property
    def trouble(self) -> str:
        """Why the host goes on without the queue, "" where it does not."""
        if self.forsaken:
            return "the queue has lost this run's passes: working on its own shard to the end"
        if self._down_since is not None:
            since = f"{self._down_since:.1f} s into the run"
            return f"the queue is out of reach since {since}: working on its own shard ({self._reason})"
        if self._gathering:
            return "the queue was made anew, and waits for all hosts: working on its own shard"
        return ""

    @property
    def unsettled(self) -> int:
        """How many verdicts the queue does not know yet."""
        return len(self._settling) + (len(self.sent.attempts) if self.sent is not None else 0)

    @property
    def may_ask(self) -> bool:
        """Whether a request may be made: one at a time, and none to a queue that is not ours any more."""
        return self.sent is None and not self.forsaken

    def known_done(self, number: int) -> Set[int]:
        """Return the units of a pass that need no attempt any more, as far as this host knows."""
        return self._done.get(number, set())

    # --- what is to be told ------------------------------------------------------------------------------------------

    def settle(self, place: Place, attempt: int, now: float) -> None:
        """The unit has a verdict, by the attempt of that number (0: it was given up)."""
        self._done.setdefault(place[0], set()).add(place[1])
        self._settling.append((place, attempt))
        if self._unsettled_since is None:
            self._unsettled_since = now

    def give_back(self, place: Place) -> None:
        """The unit is claimed, and is not to be run here now."""
        self._back.append(place)

    def due_s(self, otherwise_s: float) -> float:
        """Return when verdicts must be told, or the time that is given where none must be before."""
        return otherwise_s if self._unsettled_since is None else min(otherwise_s, self._unsettled_since + SETTLE_S)

    def ask(self, now: float, want: int, low: int, opens: Optional[NewPass] = None, bye: bool = False) -> Exchange:
        """Return the next request."""
        assert self.may_ask
        self._number += 1
        told, self._settling = self._settling[:MOST_SETTLED], self._settling[MOST_SETTLED:]
        back, self._back = tuple(self._back), []
        tell = now >= self._tell_s
        if tell:
            self._tell_s = now + self._lease_s / 3
        exchange = Exchange(
            number=self._number,
            epoch=self._epoch,
            fresh=self._fresh and self._number == 1,
            newest=self.newest,
            seen=len(self._over),
            want=want,
            low=low,
            settle=tuple(place for place, _ in told),
            back=back,
            opens=opens,
            tell=tell,
            bye=bye,
        )
        self.sent = Sent(exchange, now, tuple(attempt for _, attempt in told))
        self._unsettled_since = now if self._settling else None
        return exchange

    # --- what was told -----------------------------------------------------------------------------------------------

    def claims_are_gone(self, answer: Answer) -> bool:
        """Whether an answer that is not taken yet means that this host's claims have gone to others."""
        return answer.lost or bool(self._epoch and answer.epoch != self._epoch)

    def take(self, answer: Answer, now: float) -> List[wire.Event]:
        """Take the answer to the request under way. Returns what the journal is to know of it."""
        sent, before, down_since = self.sent, self.trouble, self._down_since
        assert sent is not None
        self.sent, self._down_since = None, None
        if self._limit is not None and self._is_anew(sent.exchange, answer):
            # Its passes are new ones, so every host makes its shard of those that they know.
            self.forsaken = True
            return [wire.Note(t=now, text=self.trouble)]
        if answer.epoch != self._epoch:
            if self._epoch:
                self._done.clear()
            self._epoch, self._over = answer.epoch, set()
        self._gathering = answer.gathering
        events = _counted(sent, answer, now)
        self._over.update(answer.over)
        for number in answer.over:
            if number in self.complete:  # the runner before this one was told
                continue
            self.finished += 1
            self.complete.add(number)
            self._done.pop(number, None)
            events.append(wire.PassFinished(t=now, pass_number=number, units=self._units))
        self.newest, self.oldest, self.covered = max(self.newest, answer.newest), answer.oldest, answer.covered
        self.left = answer.left
        for number, done in answer.done:
            self._done.setdefault(number, set()).update(done)
        if self.trouble != before:
            since_s = now - (now if down_since is None else down_since)
            events.append(wire.Note(t=now, text=self.trouble or f"the queue is back after {since_s:.1f} s"))
        return events

    def _is_anew(self, sent: Exchange, answer: Answer) -> bool:
        """Whether the queue was made anew since this run began.

        Hosts whose runners are new as well know no queue from before: then it is told by the first pass, which is
        whole, and so under way or complete in the queue that opened it.
        """
        if self._epoch and answer.epoch != self._epoch:
            return True
        known = {*self._over, *answer.over, *(number for number, _ in answer.done)}
        return sent.tell and answer.newest > 0 and 1 not in known

    def unreachable(self, reason: str, now: float) -> List[wire.Event]:
        """The queue does not answer, for this reason. Returns what the journal is to know of it."""
        self._reason = reason
        if self._down_since is not None:
            return []
        self._down_since = now
        return [wire.Note(t=now, text=self.trouble)]


def _counted(sent: Sent, answer: Answer, now: float) -> List[wire.Event]:
    """The attempts whose verdicts came first, by pass."""
    counted: Dict[int, List[int]] = {}
    for place, attempt, first in zip(sent.exchange.settle, sent.attempts, answer.counted):  # noqa: B905
        if first and attempt:
            counted.setdefault(place[0], []).append(attempt)
    return [wire.Counted(t=now, pass_number=number, attempts=tuple(ones)) for number, ones in counted.items()]
