"""The runner's core: one handler takes each event and returns what to do, as values. No clock, no I/O.

It keeps every worker busy until the budget ends: a worker whose attempt is over gets the next one in the same breath.
What runs too long is asked to end (SIGTERM to its process group) and then made to (SIGKILL); at the budget's end, on a
stop and on fail-fast that happens to everything that runs, and such attempts are `cut`: no verdict. What uses too much
memory is killed at once. An attempt that ended by itself keeps its verdict, however late its exit is told. What is
counted, learned and recorded of an attempt that is over is `settlement`'s.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Dict, List, Optional, Sequence, Tuple

from sltfleet.runner import batches, records
from sltfleet.runner import slots as st
from sltfleet.runner.batches import Batcher, members
from sltfleet.runner.endings import CUT_KILL_AFTER_S, GIVE_UP_AFTER_S, ask_to_end, kill, kill_over_limit
from sltfleet.runner.knowledge import Knowledge
from sltfleet.runner.memory import Memory
from sltfleet.runner.messages import (
    Abandon,
    Action,
    Attempt,
    Begin,
    Event,
    Exited,
    Finish,
    MemoryChecked,
    QueueTold,
    Record,
    SampleTaken,
    Spawn,
    SpawnFailed,
    Started,
    StopRequested,
    Tick,
    WriteState,
)
from sltfleet.runner.phases import Config, Live, Over, Phase, Stopping
from sltfleet.runner.schedule import Assignment, Scheduler, Wait
from sltfleet.runner.settlement import Settlement
from sltfleet.runner.slots import Slot
from sltfleet.runner.tally import Tally
from sltfleet.runner.verdicts import Cause, CutShort, Displaced, OomKilled, TimedOut
from sltfleet.wire import events as wire
from sltfleet.wire.state import WorkerState

#: The pause of a worker whose attempt could not be started, doubled with every further failure up to the maximum.
BACKOFF_S = 0.25
BACKOFF_MAX_S = 5.0


class Dispatcher:
    """Decides what every worker does. `now` is always in seconds on the run's clock."""

    def __init__(
        self,
        config: Config,
        scheduler: Scheduler,
        knowledge: Optional[Knowledge] = None,
        memory: Optional[Memory] = None,
        batcher: Optional[Batcher] = None,
    ) -> None:
        """`knowledge` should be the scheduler's own, so that what is learned here is known there."""
        self._config = config
        self.scheduler = scheduler
        self.knowledge = knowledge or Knowledge()
        self._memory = memory or Memory(self.knowledge)
        self._batcher = batcher or Batcher(self.knowledge)
        tally = Tally(config.units, scheduler.shard)
        self._settlement = Settlement(scheduler, self.knowledge, self._memory, self._batcher, tally, config.budget_s)
        self._slots = [Slot(worker) for worker in range(config.workers)]
        self._attempts = 0
        #: Workers that cannot have an attempt at the moment, and whether it is for want of memory.
        self._waiting: Dict[int, bool] = {}
        self.phase: Phase = Live()
        self.sample: Optional[SampleTaken] = None
        #: Why attempts cannot be started at the moment, "" where they can.
        self.trouble = ""

    def go_on(self, attempts: int, slots: Sequence[Slot], tally: Tally) -> None:
        """Begin where an earlier runner of the same run left off; `attempts` is the last number that it gave."""
        self._attempts, self._slots, self._settlement.tally = attempts, list(slots), tally

    # --- what the state file asks ------------------------------------------------------------------------------------

    @property
    def tally(self) -> Tally:
        return self._settlement.tally

    @property
    def pass_number(self) -> int:
        return self.scheduler.pass_number

    @property
    def passes_finished(self) -> int:
        return self.scheduler.passes_finished

    @property
    def fleet_covered(self) -> Optional[int]:
        return self.scheduler.fleet_covered

    @property
    def active(self) -> int:
        """How many workers run an attempt."""
        return sum(isinstance(slot.state, st.Busy) for slot in self._slots)

    @property
    def shortage(self) -> str:
        """What workers wait for, "" where none waits. The wait for a queue's answer is not worth a word."""
        count = sum(self._waiting.values())
        return f"{count} workers wait for memory" if count else ""

    @property
    def reason(self) -> Optional[str]:
        """Why the run ends or ended, None while it is live."""
        return None if isinstance(self.phase, Live) else self.phase.reason

    def worker_states(self, now: float) -> Tuple[WorkerState, ...]:
        """What every worker does, and has done until `now`."""
        return records.worker_states(self._slots, now, self._config.budget_s)

    def next_deadline(self) -> Optional[float]:
        """When the next Tick is due at the latest; None where none is."""
        times = [slot.state.due_s for slot in self._slots if slot.state.due_s is not None]
        if isinstance(self.phase, Live):
            times.append(self._config.budget_s)
        elif isinstance(self.phase, Stopping):
            times.append(self.phase.give_up_at_s)
        return min(times, default=None)

    # --- events ------------------------------------------------------------------------------------------------------

    def handle(self, event: Event, now: float) -> List[Action]:
        """Take one event and return what to do about it, in order."""
        if isinstance(event, Exited):
            return self._exited(event, now)
        if isinstance(event, Started):
            return self._started(event, now)
        if isinstance(event, Tick):
            return self._tick(now)
        if isinstance(event, SampleTaken):
            return self._sampled(event, now)
        if isinstance(event, MemoryChecked):
            return self._memory_checked(event, now)
        if isinstance(event, SpawnFailed):
            return self._spawn_failed(event, now)
        if isinstance(event, QueueTold):
            return [Record(one) for one in event.events] + self._assign_waiting(now)
        if isinstance(event, StopRequested):
            return self._stop("stopped", now)
        assert isinstance(event, Begin)
        return self._begin(now)

    def _begin(self, now: float) -> List[Action]:
        actions: List[Action] = [WriteState()]
        for slot in self._slots:
            actions.append(Record(wire.WorkerStarted(t=now, worker=slot.worker)))
        for slot in self._slots:
            actions += self._assign(slot, now)
        return actions

    def _started(self, event: Started, now: float) -> List[Action]:
        attempt = event.attempt
        slot = self._slots[attempt.worker]
        assert isinstance(slot.state, st.Starting)
        slot.start_failures = 0
        self.trouble = ""
        actions: List[Action] = [
            Record(records.attempt_started(one, event.pid, now, attempt.timeout_s)) for one in members(attempt)
        ]
        slot.state = st.Running(attempt, event.pid, now, now + attempt.timeout_s)
        if isinstance(self.phase, Stopping):  # it was on its way when the run's end was decided
            actions += ask_to_end(slot, CutShort(self.phase.reason), now, self._config.kill_after_s)
        return actions

    def _spawn_failed(self, event: SpawnFailed, now: float) -> List[Action]:
        attempt = event.attempt
        slot = self._slots[attempt.worker]
        self.trouble = event.message
        actions = self._settlement.not_started(slot, attempt, event.message, now)
        pause_s = min(BACKOFF_MAX_S, BACKOFF_S * 2.0**slot.start_failures)
        slot.start_failures = min(slot.start_failures + 1, 16)
        slot.state = st.BackingOff(due_s=now + pause_s)
        if isinstance(self.phase, Stopping):
            actions += self._leave(slot, self.phase.reason, now)
        return actions

    def _exited(self, event: Exited, now: float) -> List[Action]:
        attempt = event.attempt
        slot = self._slots[attempt.worker]
        state = slot.state
        if not isinstance(state, st.Busy) or state.attempt != attempt:
            return []  # it was given up: its end has been recorded
        cause: Optional[Cause] = None
        if not isinstance(state, st.Running):
            cause = state.cause
        elif event.oom_killed:
            cause = OomKilled()
        actions = self._settlement.exited(slot, event, cause, state.since_s, now)
        enough = self._config.fail_fast is not None and self.tally.bad >= self._config.fail_fast
        if enough and isinstance(self.phase, Live):
            slot.state = st.Idle()
            return actions + self._stop("fail-fast", now)
        return actions + self._assign(slot, now) + self._assign_waiting(now)

    def _tick(self, now: float) -> List[Action]:
        actions: List[Action] = []
        for slot in self._slots:
            state = slot.state
            if isinstance(state, st.Running) and now >= state.due_s:
                actions += ask_to_end(slot, TimedOut(state.attempt.timeout_s), now, self._config.kill_after_s)
            elif isinstance(state, st.Ending) and now >= state.due_s:
                actions += kill(slot, state.cause, now)
            elif isinstance(state, st.Killed) and now >= state.due_s:
                actions += [*self._abandon(slot, state.cause, now), *self._assign(slot, now)]
            elif isinstance(state, (st.BackingOff, st.Waiting)) and now >= state.due_s:
                actions += self._assign(slot, now)
        if isinstance(self.phase, Live) and now >= self._config.budget_s:
            actions += self._stop("budget", now)
        if isinstance(self.phase, Stopping) and now >= self.phase.give_up_at_s:
            actions += self._give_up(self.phase.reason, now)
        return actions

    def _sampled(self, event: SampleTaken, now: float) -> List[Action]:
        self.sample = event
        return [Record(records.sample(event, self.active, now))]

    def _memory_checked(self, event: MemoryChecked, now: float) -> List[Action]:
        """End what uses more than it may, or the youngest attempt where the host runs short of memory."""
        self._memory.checked(event.available_bytes)
        actions = kill_over_limit(self._slots, event.used_bytes, self._memory.limit_bytes, now)
        youngest = self._memory.to_displace(self._slots) if isinstance(self.phase, Live) else None
        if youngest is not None:
            actions += kill(youngest, Displaced(event.available_bytes), now)
        return actions + self._assign_waiting(now)

    # --- workers -----------------------------------------------------------------------------------------------------

    def _assign(self, slot: Slot, now: float) -> List[Action]:
        """Give a free worker its next attempt, or let it leave."""
        self._waiting.pop(slot.worker, None)
        if isinstance(self.phase, Stopping):
            return self._leave(slot, self.phase.reason, now)
        remaining_s = self._config.budget_s - now
        if remaining_s <= 0:
            slot.state = st.Idle()  # the Tick that ends the budget is due
            return []
        assignment = self.scheduler.next_unit(slot.worker, now, remaining_s, self._memory.admits)
        if assignment is None:
            return self._leave(slot, self._config.exhausted, now)
        if isinstance(assignment, Wait):
            slot.state = st.Waiting(due_s=now + assignment.again_s)
            self._waiting[slot.worker] = assignment.for_memory
            return []
        attempt = self._attempt(slot, assignment)
        others = [self._attempt(slot, other) for other in self._companions(slot, assignment, now, remaining_s)]
        if others:
            limits_s = [one.timeout_s for one in (attempt, *others)]
            limit_s = batches.batch_timeout_s(limits_s, self._batcher.batch_s)
            attempt = replace(attempt, timeout_s=limit_s, others=tuple(others))
        slot.state = st.Starting(attempt)
        self._memory.started(attempt.number, attempt.unit)
        return [Spawn(attempt, remaining_s, ahead=assignment.pass_number > self.scheduler.oldest_pass)]

    def _attempt(self, slot: Slot, assignment: Assignment) -> Attempt:
        self._attempts += 1
        self._settlement.handed_out(self._attempts, assignment)
        limit_s = self.knowledge.timeout_s(assignment.unit)
        return Attempt(self._attempts, assignment.unit, slot.worker, assignment.pass_number, assignment.seed, limit_s)

    def _companions(self, slot: Slot, first: Assignment, now: float, remaining_s: float) -> List[Assignment]:
        """Hand out short tests of the same pass that share the process of `first`."""
        found: List[Assignment] = []
        units = {first.unit}
        room_s = self._batcher.room_s(first.unit)

        def joins(unit: str) -> bool:
            return unit not in units and self._batcher.joins(unit, first.unit, room_s) and self._memory.admits(unit)

        while room_s > 0 and len(units) < batches.MOST:
            other = self.scheduler.next_unit(slot.worker, now, remaining_s, joins)
            if not isinstance(other, Assignment):
                return found
            if not joins(other.unit) or other.pass_number != first.pass_number:
                self.scheduler.put_back(other)
                return found
            found.append(other)
            units.add(other.unit)
            room_s -= self._batcher.takes_s(other.unit)
        return found

    def _assign_waiting(self, now: float) -> List[Action]:
        """Ask again for the workers that wait, until there is nothing for one of them."""
        actions: List[Action] = []
        for worker in sorted(self._waiting):
            actions += self._assign(self._slots[worker], now)
            if worker in self._waiting:
                break
        return actions

    def _leave(self, slot: Slot, reason: str, now: float) -> List[Action]:
        slot.state = st.Left()
        stopped = records.worker_stopped(slot, reason, now, self._config.budget_s)
        actions: List[Action] = [Record(stopped)]
        if all(isinstance(other.state, st.Left) for other in self._slots):
            actions += self._finish(reason, now)
        return actions

    # --- the end -----------------------------------------------------------------------------------------------------

    def _stop(self, reason: str, now: float) -> List[Action]:
        """No new attempts; end what runs."""
        if not isinstance(self.phase, Live):
            return []
        self.phase = Stopping(reason, now + CUT_KILL_AFTER_S + GIVE_UP_AFTER_S)
        actions: List[Action] = [WriteState()]
        for slot in self._slots:
            if isinstance(slot.state, (st.Idle, st.BackingOff, st.Waiting)):
                self._waiting.pop(slot.worker, None)
                actions += self._leave(slot, reason, now)
            else:
                actions += ask_to_end(slot, CutShort(reason), now, self._config.kill_after_s)
        return actions

    def _give_up(self, reason: str, now: float) -> List[Action]:
        """Record what SIGKILL could not end, and go."""
        actions: List[Action] = []
        for slot in self._slots:
            state = slot.state
            if isinstance(state, st.Busy):
                cause = CutShort(reason) if isinstance(state, st.Running) else state.cause
                actions += [*self._abandon(slot, cause, now), *self._leave(slot, reason, now)]
        return actions

    def _abandon(self, slot: Slot, cause: Cause, now: float) -> List[Action]:
        """Record the attempt of a process that hangs in the kernel: its worker is free again."""
        state = slot.state
        assert isinstance(state, st.Busy)
        attempt = state.attempt
        settled = self._settlement.abandoned(slot, attempt, cause, state.since_s, now)
        text = f"process {state.pid} could not be ended, and was left to the kernel: {attempt.unit}"
        return [Abandon(state.pid), *settled, Record(wire.Note(t=now, text=text))]

    def _finish(self, reason: str, now: float) -> List[Action]:
        reason = self.phase.reason if isinstance(self.phase, Stopping) else reason
        self.phase = Over(reason)
        finished = wire.RunFinished(
            t=now,
            reason=reason,
            passes=self.scheduler.passes_finished,
            attempts=self.tally.attempts,
            covered=self.tally.covered,
        )
        return [Record(finished), WriteState(), Finish(reason)]
