"""Builds the state file's content from what the dispatcher knows. Pure."""

from __future__ import annotations

from typing import Optional

from sltfleet.runner.dispatch import Dispatcher
from sltfleet.runner.phases import Live, Stopping
from sltfleet.runner.tally import MAX_FAILING
from sltfleet.wire.spec import Spec
from sltfleet.wire.state import FINISHED, RUNNING, STOPPING, Identity, State


def make_state(
    spec: Spec,
    identity: Identity,
    units: int,
    dispatcher: Dispatcher,
    trouble: str,
    started_wall_s: float,
    written_wall_s: float,
    now: float,
    error: bool = False,
) -> State:
    """Return the state at `now` (on the run's clock). `error`: the runner itself has failed."""
    tally = dispatcher.tally
    workers = dispatcher.worker_states(now)
    sample = dispatcher.sample
    return State(
        run_id=spec.run_id,
        suite=spec.suite,
        identity=identity,
        phase=FINISHED if error else _phase(dispatcher),
        reason="error" if error else dispatcher.reason,
        started_wall_s=started_wall_s,
        written_wall_s=written_wall_s,
        elapsed_s=now,
        budget_s=spec.budget_s,
        workers=spec.workers,
        active=0 if error else dispatcher.active,
        busy_s=sum(worker.busy_s for worker in workers),
        cpu_percent=sample.cpu_percent if sample else None,
        memory_available_bytes=sample.memory_available_bytes if sample else None,
        pass_number=dispatcher.pass_number,
        units_total=units,
        units_covered=tally.covered,
        attempts=tally.attempts,
        outcomes=dict(tally.outcomes),
        cases_passed=tally.cases_passed,
        cases_failed=tally.cases_failed,
        failing=tally.failing,
        last_finish_s=tally.last_finish_s,
        trouble=trouble,
        worker_states=workers,
        share_total=tally.share_total,
        share_covered=tally.share_covered,
        fleet_covered=dispatcher.fleet_covered,
        quarantined=tuple(dispatcher.knowledge.quarantined)[:MAX_FAILING],
    )


def join_troubles(*troubles: Optional[str]) -> str:
    """Return all that is wrong at the moment, in one line."""
    return "; ".join(trouble for trouble in troubles if trouble)


def _phase(dispatcher: Dispatcher) -> str:
    if isinstance(dispatcher.phase, Live):
        return RUNNING
    return STOPPING if isinstance(dispatcher.phase, Stopping) else FINISHED
