"""The schedule of a host that shares a queue with others: which unit comes next, and what to ask of the queue. Pure.

`QueueScheduler` is a `Scheduler` for the dispatcher. For the queue it is one side of a conversation: `request` says
what to ask now, if anything, and `told` and `unreachable` take what came of it. Nothing here waits: where the queue
does not answer at once the host takes units of its own, first those of its shard, by a `PassScheduler` that knows what
is done. All verdicts are told to the queue as soon as it can be reached, and it counts the first of each unit and pass.
docs/decisions/014-shared-queue.md has the rules and their reasons.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Dict, List, Optional, Sequence, Set, Tuple

from sltfleet.runner.knowledge import Knowledge
from sltfleet.runner.pace import Pace
from sltfleet.runner.passes import Entry, Progress, seed_of_pass
from sltfleet.runner.queue_claims import Claim, Claims, claims_ahead
from sltfleet.runner.queue_dialogue import Dialogue
from sltfleet.runner.queue_messages import Answer, Exchange, Place
from sltfleet.runner.queue_pass import propose
from sltfleet.runner.schedule import START_TRIES, Assignment, Choice, PassScheduler, Wait, everything
from sltfleet.wire import events as wire

#: A worker waits so long for the queue's answer, and then takes a unit of the host's own; and what the event loop may
#: take to come round to it.
PATIENCE_S = 0.25
TURN_S = 0.05

#: When the queue had nothing, it is asked again after this, doubled each time up to the maximum: as a rule another
#: host is just opening the next pass.
POLL_S = 0.005
POLL_MAX_S = 0.2

#: Where nothing fits into a new pass, the host looks again after this.
LOOK_AGAIN_S = 1.0

#: So many claims that cannot be started are kept, at least, before others are no longer asked for.
MOST_STUCK = 16


@dataclass(frozen=True)
class OwnAssignment(Assignment):
    """A unit that the host took by itself, in its so many-th time without the queue."""

    outage: int = 0


class QueueScheduler:
    """Hands out what the shared queue gives to this host, `passes` times over all units (None: without end).

    `shard` is what the host begins with while the queue is out of reach, and its name as `salt` makes its own passes
    differ from the others'. A host that is silent for `lease_s` loses its claims. `progress` is what is behind a run
    that is resumed, by this host's journal; None for a run that has just begun.
    """

    def __init__(
        self,
        units: Sequence[str],
        seed: int,
        knowledge: Optional[Knowledge] = None,
        passes: Optional[int] = None,
        *,
        workers: int = 1,
        fleet_workers: int = 1,
        lease_s: float = 15.0,
        shard: Sequence[str] = (),
        salt: str = "",
        progress: Optional[Progress] = None,
    ) -> None:
        if not units:
            raise ValueError("a schedule needs a unit")
        #: In the same order on all hosts: the queue knows them by their places.
        self.units = tuple(sorted(units))
        self._index = {unit: index for index, unit in enumerate(self.units)}
        self._seed, self._salt, self._limit = seed, salt, passes
        self._knowledge = knowledge or Knowledge()
        self._workers, self._fleet_workers = workers, max(workers, fleet_workers)
        self._most_stuck, self._lease_s = max(MOST_STUCK, 2 * workers), lease_s
        self._own_shard = frozenset(shard)
        self._talk = Dialogue(len(self.units), lease_s, passes, fresh=progress is None)
        if progress is not None:
            self._talk.go_on(progress, self._index)
        self._claims = Claims(self._knowledge, len(self.units))
        self._pass_number = max(1, self._talk.newest)
        self._now = self._remaining_s = 0.0
        self._tries: Dict[Place, int] = {}
        #: Whether this host is to propose the next pass, and when it may again after one into which nothing fitted.
        self._opening = False
        self._propose_s = 0.0
        #: When the next exchange is due at the latest, be it for the lease.
        self._due_s = 0.0
        #: Workers that wait for the queue; since when it has nothing for this host, and how often it was asked since.
        self._hungry: Set[int] = set()
        self._dry_since: Optional[float] = None
        self._polls = 0
        #: What an exchange takes, and how many units are started per second.
        self._latency_s = 0.0
        self._pace = Pace()
        #: The schedule of this host alone, while there is no queue.
        self._own: Optional[PassScheduler] = None
        self._outage = 0
        #: A short unit, and when a shorter one may be looked for.
        self._short, self._look_s = self.units[0], 0.0

    # --- the Scheduler -----------------------------------------------------------------------------------------------

    @property
    def shard(self) -> Optional[Sequence[str]]:
        """The first pass is the whole fleet's."""
        return None

    def size_of(self, _pass_number: int) -> int:
        """Every unit counts for a pass that is told to be complete."""
        return len(self.units)

    @property
    def pass_number(self) -> int:
        return self._pass_number

    @property
    def passes_finished(self) -> int:
        return self._talk.finished

    @property
    def fleet_covered(self) -> Optional[int]:
        return self._talk.covered

    @property
    def oldest_pass(self) -> int:
        return self._own.oldest_pass if self._own is not None else self._talk.oldest

    def next_unit(
        self, worker: int, now: float, remaining_s: float, admits: Callable[[str], bool] = everything, /
    ) -> Choice:
        self._now, self._remaining_s = now, remaining_s
        claim = self._claims.take(remaining_s, admits)
        if claim is not None:
            return self._hand_out(worker, claim)
        if self._on_its_own(now):
            return self._own_unit(worker, admits)
        if self._queue_may_have_more():
            return self._wait(worker)
        return self._of_what_is_left(worker, admits)

    def finished(self, assignment: Assignment, attempt: int = 0, /) -> Tuple[int, ...]:
        """The passes that are complete by it are told by the queue."""
        self._claims.ended(assignment.pass_number, assignment.unit)
        own = self._own_of(assignment)
        if own is not None:
            own.finished(assignment)
        # Of its own passes a host tells nothing: under another seed a share `K/N` is made of other files.
        if not assignment.extra and assignment.seed == self._seed_of(assignment.pass_number):
            place = self._place(assignment)
            self._tries.pop(place, None)
            self._talk.settle(place, attempt, self._now)
        return ()

    def not_started(self, assignment: Assignment) -> Tuple[int, ...]:
        own = self._own_of(assignment)
        if own is not None or isinstance(assignment, OwnAssignment) or assignment.extra:
            self._claims.ended(assignment.pass_number, assignment.unit)
            if own is not None:
                own.not_started(assignment)
            return ()
        place = self._place(assignment)
        tries = self._tries.pop(place, 0) + 1
        if tries >= START_TRIES:
            return self.finished(assignment)
        self._tries[place] = tries
        self.put_back(assignment)
        return ()

    def put_back(self, assignment: Assignment) -> None:
        self._claims.ended(assignment.pass_number, assignment.unit)
        own = self._own_of(assignment)
        if own is not None:
            own.put_back(assignment)
        elif not assignment.extra and not isinstance(assignment, OwnAssignment):
            self._talk.give_back(self._place(assignment))

    # --- the conversation --------------------------------------------------------------------------------------------

    @property
    def trouble(self) -> str:
        """Why the host goes on without the queue, "" where it does not."""
        return self._talk.trouble

    @property
    def unsettled(self) -> int:
        """How many verdicts the queue does not know yet."""
        return self._talk.unsettled

    @property
    def in_flight(self) -> Optional[Exchange]:
        """The request that has no answer yet."""
        return self._talk.sent.exchange if self._talk.sent is not None else None

    @property
    def due_s(self) -> Optional[float]:
        """When the queue is to be asked again at the latest; None while a request is under way."""
        return self._talk.due_s(self._due_s) if self._talk.may_ask else None

    def request(self, now: float) -> Optional[Exchange]:
        """Return what to ask of the queue now, None where there is nothing to ask yet."""
        self._now = now
        due_s = self.due_s
        if due_s is None:
            return None
        want = self._wanted()
        if not (self._opening or now >= due_s or (want and self._dry_since is None)):
            return None
        new_pass = None
        if self._opening:
            remaining_s = self._remaining_s if self._limit is None else None
            new_pass = propose(self._talk.newest + 1, self.units, self._seed, self._knowledge, remaining_s)
            self._propose_s = now + (LOOK_AGAIN_S if new_pass is None else 0.0)
        return self._talk.ask(now, want, self._most_stuck, new_pass)

    def goodbye(self, now: float) -> Optional[Exchange]:
        """Return the last request, which tells all that is left and gives back what this host holds."""
        return self._talk.ask(now, 0, 0, bye=True) if self._talk.may_ask else None

    def told(self, answer: Answer, now: float) -> List[wire.Event]:
        """Take the queue's answer. Returns what the journal is to know of it."""
        sent = self._talk.sent
        if sent is None or answer.number != sent.exchange.number:
            return []
        took_s = min(PATIENCE_S, now - sent.at_s)
        self._latency_s += (took_s - self._latency_s) / min(4, answer.number)
        gone = self._talk.claims_are_gone(answer)
        events = self._talk.take(answer, now)
        if self._talk.forsaken:
            self._own = None
            return events
        if gone:
            self._claims.drop()
        for number, index in answer.claims:
            entry = Entry(self.units[index if index >= 0 else -index - 1], extra=index < 0)
            self._claims.add(Claim(number, entry))
        self._opening = answer.opens and now >= self._propose_s
        if len(answer.claims) >= sent.exchange.want or self._opening:
            self._dry_since, self._polls = None, 0
            self._due_s = now + self._lease_s / 3
        else:
            self._dry_since = now if self._dry_since is None else self._dry_since
            self._due_s = now + min(POLL_MAX_S, POLL_S * 2.0 ** min(self._polls, 16))
            self._polls += 1
        if not self._talk.out_of_touch:
            self._own = None
        return events

    def unreachable(self, reason: str, now: float) -> List[wire.Event]:
        """The queue does not answer, for this reason. Returns what the journal is to know of it."""
        return self._talk.unreachable(reason, now)

    def _wanted(self) -> int:
        """How many units to claim: for the workers that wait, and ahead of those that will be free."""
        held = len(self._claims)
        ahead = self._ahead()
        if self._hungry:  # whatever is held cannot be started
            return len(self._hungry) + ahead if held < self._most_stuck else 0
        return ahead - held if 2 * held <= ahead else 0

    def _ahead(self) -> int:
        """How many units to hold that nobody waits for yet."""
        more_will_come = self._limit is None and self._talk.newest > 1
        left = None if more_will_come else self._talk.left
        pace = self._pace.per_second(self._now)
        return claims_ahead(pace, self._latency_s, self._workers, self._fleet_workers, left)

    # --- where a unit may come from ----------------------------------------------------------------------------------

    def _on_its_own(self, now: float) -> bool:
        """Whether the host must find units for its workers by itself."""
        sent = self._talk.sent
        if self._talk.out_of_touch or sent is None:
            return self._talk.out_of_touch
        runs_elsewhere = self._limit is not None and self._dry_since is not None
        return now - sent.at_s > PATIENCE_S and not runs_elsewhere

    def _queue_may_have_more(self) -> bool:
        if len(self._claims) >= self._most_stuck or not self._anything_fits():
            return False
        return self._dry_since is None or (self._limit is None and self._now - self._dry_since < PATIENCE_S)

    def _of_what_is_left(self, worker: int, admits: Callable[[str], bool]) -> Choice:
        """The queue has nothing for this host at the moment, or nothing that fits into what is left of the budget."""
        claim = self._claims.best_chance()
        if claim is not None:
            return self._hand_out(worker, claim)
        if self._claims.refused and self._claims.busy:
            return Wait()
        claim = self._claims.beside_itself()
        if claim is not None:
            return self._hand_out(worker, claim)
        if self._limit is not None:
            return self._wait(worker) if self.passes_finished < self._limit else None
        return self._a_further_time(worker, admits)

    def _a_further_time(self, worker: int, admits: Callable[[str], bool]) -> Choice:
        """The shortest unit, which counts for no pass: anything is better than an idle worker."""
        idle = [unit for unit in self.units if not self._claims.is_running(unit)]
        admitted = [unit for unit in idle if admits(unit)]
        if idle and not admitted and self._claims.busy:
            return Wait()
        shortest = min(admitted or self.units, key=self._takes_s)
        return self._hand_out(worker, Claim(max(1, self._talk.newest), Entry(shortest, extra=True)))

    def _wait(self, worker: int) -> Wait:
        self._hungry.add(worker)
        return Wait(for_memory=False, again_s=PATIENCE_S + TURN_S)

    def _hand_out(self, worker: int, claim: Claim) -> Assignment:
        number, entry = claim
        self._started(worker, entry.unit, number)
        return Assignment(entry.unit, number, self._seed_of(number), entry.extra)

    def _own_unit(self, worker: int, admits: Callable[[str], bool]) -> Choice:
        """A unit that the host takes by itself."""
        if self._own is None:
            self._own = self._make_own()
            self._outage += 1
        refused: Set[str] = set()

        def may_run(unit: str) -> bool:
            if self._claims.is_running(unit):
                return False
            if not admits(unit):
                refused.add(unit)
            return unit not in refused

        choice = self._own.next_unit(worker, self._now, self._remaining_s, may_run)
        if isinstance(choice, Wait) and not refused:  # all that is left runs already
            return self._a_further_time(worker, admits)
        if not isinstance(choice, Assignment):
            return choice
        self._started(worker, choice.unit, choice.pass_number)
        under_way = choice.pass_number <= max(1, self._talk.newest)
        seed = self._seed_of(choice.pass_number) if under_way else choice.seed
        return OwnAssignment(choice.unit, choice.pass_number, seed, choice.extra, self._outage)

    def _make_own(self) -> PassScheduler:
        """Return the schedule of this host alone: what is left of the passes under way, its shard first."""
        newest = max(1, self._talk.newest)
        under_way = {number for number in (self._talk.oldest, newest) if number <= newest} - self._talk.complete
        over = {
            number: self._claims.units_of(number) | {self.units[at] for at in self._talk.known_done(number)}
            for number in under_way
        }
        return PassScheduler(
            self.units,
            self._seed,
            self._knowledge,
            self._limit,
            shard=sorted(self._own_shard) if self._talk.forsaken else None,
            salt=self._salt,
            progress=Progress(newest, over=over),
            ahead=self._own_shard,
        )

    def _own_of(self, assignment: Assignment) -> Optional[PassScheduler]:
        """Return the schedule that handed it out, None where the queue did or where that time is over."""
        ours = isinstance(assignment, OwnAssignment) and assignment.outage == self._outage
        return self._own if ours else None

    def _started(self, worker: int, unit: str, pass_number: int) -> None:
        self._hungry.discard(worker)
        self._claims.started(pass_number, unit)
        self._pass_number = max(self._pass_number, pass_number)
        self._pace.count(self._now)

    def _seed_of(self, pass_number: int) -> int:
        """The same for all hosts that make the pass together."""
        return seed_of_pass(self._seed, pass_number)

    def _place(self, assignment: Assignment) -> Place:
        return assignment.pass_number, self._index[assignment.unit]

    def _anything_fits(self) -> bool:
        """Whether any unit fits into what is left of the budget. One that does is remembered, so this costs nothing."""
        if self._knowledge.fits(self._short, self._remaining_s):
            return True
        if self._now >= self._look_s:
            self._look_s = self._now + LOOK_AGAIN_S
            self._short = min(self.units, key=self._takes_s)
        return self._knowledge.fits(self._short, self._remaining_s)

    def _takes_s(self, unit: str) -> float:
        return self._knowledge.expected_s(unit) or 0.0
