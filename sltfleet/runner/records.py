"""The journal's events and the state's worker lines, made from what the dispatcher knows. Pure; decides nothing."""

from __future__ import annotations

from typing import Optional, Sequence, Tuple

from sltfleet.runner import slots as st
from sltfleet.runner.messages import Attempt, Exited, SampleTaken
from sltfleet.runner.slots import Slot, busy_within
from sltfleet.runner.verdicts import Verdict
from sltfleet.wire import events as wire
from sltfleet.wire import outcome as outcomes
from sltfleet.wire.quarantine import Quarantine, quarantine_text
from sltfleet.wire.state import WorkerState


def attempt_started(attempt: Attempt, pid: int, now: float, timeout_s: float) -> wire.AttemptStarted:
    """Return the event of an attempt whose process runs, and may take `timeout_s`."""
    return wire.AttemptStarted(
        t=now,
        attempt=attempt.number,
        unit=attempt.unit,
        worker=attempt.worker,
        pass_number=attempt.pass_number,
        seed=attempt.seed,
        pid=pid,
        timeout_s=timeout_s,
    )


def not_started(attempt: Attempt, message: str, now: float) -> wire.AttemptFinished:
    """Return the event of an attempt that could not be started."""
    return _without_process(attempt, outcomes.INFRA, message, now)


def attempt_finished(
    attempt: Attempt, now: float, since_s: float, verdict: Verdict, exited: Optional[Exited]
) -> wire.AttemptFinished:
    """Return the event of an attempt that is over; `exited` is None where its process could not be ended."""
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


def not_run(attempt: Attempt, now: float) -> wire.AttemptFinished:
    """Return the event of an attempt whose process ended before its turn: no verdict, and nothing learned."""
    return _without_process(attempt, outcomes.CUT, "not run: the process that it shared ended before its turn", now)


def worker_stopped(slot: Slot, reason: str, now: float, budget_s: float) -> wire.WorkerStopped:
    """Return the event of a worker that leaves."""
    return wire.WorkerStopped(
        t=now,
        worker=slot.worker,
        lifetime_s=busy_within(0.0, now, budget_s),
        busy_s=slot.busy_s,
        attempts=slot.attempts,
        reason=reason,
    )


def sample(event: SampleTaken, active: int, now: float) -> wire.Sample:
    """Return the event of a sample."""
    return wire.Sample(
        t=now,
        cpu_percent=event.cpu_percent,
        memory_available_bytes=event.memory_available_bytes,
        active=active,
        runner_rss_bytes=event.runner_rss_bytes,
        runner_cpu_s=event.runner_cpu_s,
    )


def quarantine(unit: str, timeouts: int, now: float) -> wire.Note:
    """Return the note of a unit that is in quarantine, or was let out of it (no timeouts)."""
    return wire.Note(t=now, text=quarantine_text(Quarantine(unit, timeouts)))


def worker_states(slots: Sequence[Slot], now: float, budget_s: float) -> Tuple[WorkerState, ...]:
    """Return what every worker does, and has done until `now`."""
    states = []
    for slot in slots:
        busy = slot.state if isinstance(slot.state, st.Busy) else None
        states.append(
            WorkerState(
                worker=slot.worker,
                unit=busy.attempt.unit if busy else None,
                since_s=busy.since_s if busy else None,
                attempts=slot.attempts,
                busy_s=slot.busy_until(now, budget_s),
            )
        )
    return tuple(states)


def _without_process(attempt: Attempt, outcome: str, message: str, now: float) -> wire.AttemptFinished:
    """The event of an attempt that never ran: it took no time and left nothing behind."""
    return wire.AttemptFinished(
        t=now,
        attempt=attempt.number,
        unit=attempt.unit,
        worker=attempt.worker,
        pass_number=attempt.pass_number,
        seed=attempt.seed,
        outcome=outcome,
        duration_s=0.0,
        message=message,
    )
