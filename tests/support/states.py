"""States of runners for tests: a plain one, any field of which can be told otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sltfleet.wire.codec import to_text
from sltfleet.wire.state import RUNNING, Identity, State, WorkerState

RUN_ID = "20261123-120312-3f9a1c"

_PLAIN = State(
    run_id=RUN_ID,
    suite="slt",
    identity=Identity("b00t", 4711, 123456),
    phase=RUNNING,
    reason=None,
    started_wall_s=1_795_435_392.0,
    written_wall_s=1_795_435_492.0,
    elapsed_s=100.0,
    budget_s=3600.0,
    workers=2,
    active=2,
    busy_s=199.5,
    cpu_percent=87.4,
    memory_available_bytes=8 * 1024**3,
    pass_number=2,
    units_total=40,
    units_covered=40,
    attempts=61,
    outcomes={"pass": 58, "fail": 2, "timeout": 1},
    cases_passed=58,
    cases_failed=3,
    failing=("a.test", "b.test"),
    last_finish_s=99.0,
    worker_states=(
        WorkerState(0, "index/slt_good_2.test", 40.0, 30, 99.9),
        WorkerState(1, None, None, 31, 99.6),
    ),
)


def make_state(**changes: Any) -> State:
    """Return a state of a run of two workers that is well under way, with the fields of `changes` replaced."""
    return replace(_PLAIN, **changes)


def poll_output(state: State | None = None, *, alive: bool = True, run_id: str = RUN_ID) -> str:
    """Return what a host answers to a poll: a run whose runner is alive or gone."""
    identity = _PLAIN.identity if state is None else state.identity
    clock = int(_PLAIN.written_wall_s if state is None else state.written_wall_s)
    process = f"stat S {'0 ' * 18}{identity.start_ticks}\n" if alive else ""
    return (
        f"run {run_id}\nboot {identity.boot_id}\nclock {clock}\n"
        f"identity {identity.boot_id} {identity.pid} {identity.start_ticks}\n{process}state\n"
        + ("" if state is None else to_text(state))
    )
