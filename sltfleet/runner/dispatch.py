"""The runner's core: one handler takes each event and returns what to do, as values. No clock, no I/O.

It keeps every worker busy until the budget ends: a worker whose attempt is over gets the next one in the same breath.
What runs too long is asked to end (SIGTERM to its process group) and then made to (SIGKILL); at the budget's end, on a
stop and on fail-fast that happens to everything that runs, and such attempts are `cut`: no verdict. An attempt that
ended by itself keeps its verdict, however late its exit is told.
"""

from __future__ import annotations

import signal
from typing import List, Optional, Tuple

from sltfleet.runner import slots as st
from sltfleet.runner.messages import (
    Action,
    Attempt,
    Begin,
    Event,
    Exited,
    Finish,
    Record,
    SampleTaken,
    Settle,
    SignalGroup,
    Spawn,
    SpawnFailed,
    Started,
    StopRequested,
    Tick,
    WriteState,
)
from sltfleet.runner.phases import Config, Live, Over, Phase, Stopping
from sltfleet.runner.schedule import Assignment, Scheduler
from sltfleet.runner.slots import Slot, busy_within
from sltfleet.runner.tally import Tally
from sltfleet.runner.verdicts import Cause, CutShort, TimedOut, Verdict, conclude
from sltfleet.wire import events as wire
from sltfleet.wire import outcome as outcomes
from sltfleet.wire.state import WorkerState

#: When the run ends, SIGKILL follows SIGTERM after at most this: the budget is the budget.
CUT_KILL_AFTER_S = 1.0

#: A process that SIGKILL does not end within this (it hangs in the kernel) no longer holds up the end of the run.
GIVE_UP_AFTER_S = 10.0

#: The pause of a worker whose attempt could not be started, doubled with every further failure up to the maximum.
BACKOFF_S = 0.25
BACKOFF_MAX_S = 5.0


class Dispatcher:
    """Decides what every worker does. `now` is always in seconds on the run's clock."""

    def __init__(self, config: Config, scheduler: Scheduler) -> None:
        self._config = config
        self._scheduler = scheduler
        self._slots = [Slot(worker) for worker in range(config.workers)]
        self._attempts = 0
        self.phase: Phase = Live()
        self.tally = Tally()
        self.sample: Optional[SampleTaken] = None
        #: Why attempts cannot be started at the moment, "" where they can.
        self.trouble = ""

    # --- what the state file asks ------------------------------------------------------------------------------------

    @property
    def pass_number(self) -> int:
        return self._scheduler.pass_number

    @property
    def passes_finished(self) -> int:
        return self._scheduler.passes_finished

    @property
    def active(self) -> int:
        """How many workers run an attempt."""
        return sum(isinstance(slot.state, st.Busy) for slot in self._slots)

    @property
    def reason(self) -> Optional[str]:
        """Why the run ends or ended, None while it is live."""
        return None if isinstance(self.phase, Live) else self.phase.reason

    def worker_states(self, now: float) -> Tuple[WorkerState, ...]:
        """What every worker does, and has done until `now`."""
        states: List[WorkerState] = []
        for slot in self._slots:
            busy = slot.state if isinstance(slot.state, st.Busy) else None
            states.append(
                WorkerState(
                    worker=slot.worker,
                    unit=busy.attempt.unit if busy else None,
                    since_s=busy.since_s if busy else None,
                    attempts=slot.attempts,
                    busy_s=slot.busy_until(now, self._config.budget_s),
                )
            )
        return tuple(states)

    def next_deadline(self) -> Optional[float]:
        """When the next Tick is due at the latest; None where none is."""
        times = [slot.state.due_s for slot in self._slots if slot.state.due_s is not None]
        if isinstance(self.phase, Live):
            times.append(self._config.budget_s)
        elif isinstance(self.phase, Stopping):
            times.append(self.phase.give_up_at_s)
        return min(times) if times else None

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
        if isinstance(event, SpawnFailed):
            return self._spawn_failed(event, now)
        if isinstance(event, StopRequested):
            return self._stop("stopped", now)
        assert isinstance(event, Begin)
        return self._begin(now)

    def _begin(self, now: float) -> List[Action]:
        actions: List[Action] = [WriteState()]
        for slot in self._slots:
            slot.started_s = now
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
            Record(
                wire.AttemptStarted(
                    t=now,
                    attempt=attempt.number,
                    unit=attempt.unit,
                    worker=attempt.worker,
                    pass_number=attempt.pass_number,
                    seed=attempt.seed,
                    pid=event.pid,
                )
            )
        ]
        slot.state = st.Running(attempt, event.pid, now, now + self._config.timeout_s)
        if isinstance(self.phase, Stopping):  # it was on its way when the run's end was decided
            actions += self._end(slot, CutShort(self.phase.reason), now)
        return actions

    def _spawn_failed(self, event: SpawnFailed, now: float) -> List[Action]:
        attempt = event.attempt
        slot = self._slots[attempt.worker]
        slot.attempts += 1
        self.trouble = event.message
        finished = wire.AttemptFinished(
            t=now,
            attempt=attempt.number,
            unit=attempt.unit,
            worker=attempt.worker,
            pass_number=attempt.pass_number,
            seed=attempt.seed,
            outcome=outcomes.INFRA,
            duration_s=0.0,
            message=event.message,
        )
        self.tally.add(finished)
        actions: List[Action] = [Settle(finished)]
        actions += self._passes_over(
            self._scheduler.not_started(Assignment(attempt.unit, attempt.pass_number, attempt.seed)), now
        )
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
        cause = None if isinstance(state, st.Running) else state.cause
        verdict = conclude(event.verdict, attempt.unit, event.exit_code, event.signal, cause)
        finished = _finished(attempt, now, state.since_s, verdict, event)
        actions = self._settle(slot, finished)
        enough = self._config.fail_fast is not None and self.tally.bad >= self._config.fail_fast
        if enough and isinstance(self.phase, Live):
            slot.state = st.Idle()
            return actions + self._stop("fail-fast", now)
        return actions + self._assign(slot, now)

    def _tick(self, now: float) -> List[Action]:
        actions: List[Action] = []
        for slot in self._slots:
            state = slot.state
            if isinstance(state, st.Running) and now >= state.due_s:
                actions += self._end(slot, TimedOut(self._config.timeout_s), now)
            elif isinstance(state, st.Ending) and now >= state.due_s:
                slot.state = st.Killed(state.attempt, state.pid, state.since_s, state.cause)
                actions.append(SignalGroup(state.pid, signal.SIGKILL))
            elif isinstance(state, st.BackingOff) and now >= state.due_s:
                actions += self._assign(slot, now)
        if isinstance(self.phase, Live) and now >= self._config.budget_s:
            actions += self._stop("budget", now)
        if isinstance(self.phase, Stopping) and now >= self.phase.give_up_at_s:
            actions += self._give_up(self.phase.reason, now)
        return actions

    def _sampled(self, event: SampleTaken, now: float) -> List[Action]:
        self.sample = event
        return [
            Record(
                wire.Sample(
                    t=now,
                    cpu_percent=event.cpu_percent,
                    memory_available_bytes=event.memory_available_bytes,
                    active=self.active,
                    runner_rss_bytes=event.runner_rss_bytes,
                    runner_cpu_s=event.runner_cpu_s,
                )
            )
        ]

    # --- workers -----------------------------------------------------------------------------------------------------

    def _assign(self, slot: Slot, now: float) -> List[Action]:
        """Give a free worker its next attempt, or let it leave."""
        if isinstance(self.phase, Stopping):
            return self._leave(slot, self.phase.reason, now)
        remaining_s = self._config.budget_s - now
        if remaining_s <= 0:
            slot.state = st.Idle()  # the Tick that ends the budget is due
            return []
        assignment = self._scheduler.next_unit(slot.worker, now, remaining_s)
        if assignment is None:
            return self._leave(slot, self._config.exhausted, now)
        self._attempts += 1
        attempt = Attempt(self._attempts, assignment.unit, slot.worker, assignment.pass_number, assignment.seed)
        slot.state = st.Starting(attempt)
        return [Spawn(attempt, remaining_s, ahead=assignment.pass_number > self._scheduler.oldest_pass)]

    def _end(self, slot: Slot, cause: Cause, now: float) -> List[Action]:
        """Ask the worker's attempt to end. One that is being ended already only gets less time for it."""
        state = slot.state
        after_s = self._config.kill_after_s
        if isinstance(cause, CutShort):
            after_s = min(after_s, CUT_KILL_AFTER_S)
        if isinstance(state, st.Running):
            slot.state = st.Ending(state.attempt, state.pid, state.since_s, cause, now + after_s)
            return [SignalGroup(state.pid, signal.SIGTERM)]
        if isinstance(state, st.Ending):
            due_s = min(state.due_s, now + after_s)
            slot.state = st.Ending(state.attempt, state.pid, state.since_s, state.cause, due_s)
        return []

    def _settle(self, slot: Slot, finished: wire.AttemptFinished) -> List[Action]:
        slot.attempts += 1
        slot.busy_s += busy_within(finished.t - finished.duration_s, finished.t, self._config.budget_s)
        self.tally.add(finished)
        actions: List[Action] = [Settle(finished)]
        if finished.outcome != outcomes.CUT:
            assignment = Assignment(finished.unit, finished.pass_number, finished.seed)
            actions += self._passes_over(self._scheduler.finished(assignment), finished.t)
        return actions

    def _passes_over(self, numbers: Tuple[int, ...], now: float) -> List[Action]:
        return [Record(wire.PassFinished(t=now, pass_number=number, units=self._config.units)) for number in numbers]

    def _leave(self, slot: Slot, reason: str, now: float) -> List[Action]:
        slot.state = st.Left()
        stopped = wire.WorkerStopped(
            t=now,
            worker=slot.worker,
            lifetime_s=busy_within(slot.started_s, now, self._config.budget_s),
            busy_s=slot.busy_s,
            attempts=slot.attempts,
            reason=reason,
        )
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
            if isinstance(slot.state, (st.Idle, st.BackingOff)):
                actions += self._leave(slot, reason, now)
            else:
                actions += self._end(slot, CutShort(reason), now)
        return actions

    def _give_up(self, reason: str, now: float) -> List[Action]:
        """Record what SIGKILL could not end, and go."""
        actions: List[Action] = []
        for slot in self._slots:
            state = slot.state
            if isinstance(state, st.Busy):
                cause = CutShort(reason) if isinstance(state, st.Running) else state.cause
                verdict = conclude(Verdict(outcomes.FAIL), state.attempt.unit, None, None, cause)
                actions += self._settle(slot, _finished(state.attempt, now, state.since_s, verdict, None))
                text = f"process {state.pid} could not be ended: {state.attempt.unit}"
                actions.append(Record(wire.Note(t=now, text=text)))
                actions += self._leave(slot, reason, now)
        return actions

    def _finish(self, reason: str, now: float) -> List[Action]:
        reason = self.phase.reason if isinstance(self.phase, Stopping) else reason
        self.phase = Over(reason)
        finished = wire.RunFinished(
            t=now,
            reason=reason,
            passes=self._scheduler.passes_finished,
            attempts=self.tally.attempts,
            covered=self.tally.covered,
        )
        return [Record(finished), WriteState(), Finish(reason)]


def _finished(
    attempt: Attempt, now: float, since_s: float, verdict: Verdict, exited: Optional[Exited]
) -> wire.AttemptFinished:
    return wire.AttemptFinished(
        t=now,
        attempt=attempt.number,
        unit=attempt.unit,
        worker=attempt.worker,
        pass_number=attempt.pass_number,
        seed=attempt.seed,
        outcome=verdict.outcome,
        duration_s=now - since_s,
        exit_code=exited.exit_code if exited else None,
        signal=exited.signal if exited else None,
        passed=verdict.passed,
        failed=verdict.failed,
        message=verdict.message,
        rusage=exited.rusage if exited else wire.Rusage(),
        survivors=exited.survivors if exited else 0,
    )
