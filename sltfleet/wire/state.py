"""What a runner says of itself right now (`state.json`), and which process it is.

The state file is written aside and renamed, so a reader sees a whole one or none. Beside it lies `identity`, one line
`BOOT_ID PID START_TICKS`, which a shell can read without parsing JSON.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Dict, Optional, Tuple

from sltfleet.wire.codec import decode
from sltfleet.wire.format import FORMAT_VERSION, check_format

RUNNING = "running"
#: No new attempts; what runs is being ended.
STOPPING = "stopping"
FINISHED = "finished"

#: Why a run ended: `budget` (time is up), `passes` (as many as asked), `once`, `stopped` (a person), `fail-fast`,
#: `error`.
REASONS = ("budget", "passes", "once", "stopped", "fail-fast", "error")

#: The reasons after which a run may be resumed: it did not get to its own end.
RESUMABLE_REASONS = ("stopped", "error")

#: Numbers of so few digits, and no others: `int` would also take a sign, and refuse what only looks like a digit.
_IDENTITY_LINE = re.compile(r"(\S+)\s+([0-9]{1,10})\s+([0-9]{1,18})")


@dataclass(frozen=True)
class Identity:
    """A process, beyond doubt: a pid alone may belong to a stranger by now.

    `start_ticks` is field 22 of /proc/PID/stat (clock ticks since boot, see proc(5)); `boot_id` is
    /proc/sys/kernel/random/boot_id.
    """

    boot_id: str
    pid: int
    start_ticks: int


@dataclass(frozen=True)
class WorkerState:
    """One worker: what it does now (`unit` None: nothing), since when, and what it has done."""

    worker: int
    unit: Optional[str]
    #: Seconds on the run's clock at which the current attempt started.
    since_s: Optional[float]
    attempts: int
    busy_s: float


@dataclass(frozen=True)
class State:
    """The run on this host. Seconds are on the run's monotonic clock."""

    run_id: str
    suite: str
    identity: Identity
    phase: str
    #: One of REASONS once the phase is no longer `running`.
    reason: Optional[str]
    #: Seconds since the epoch on the host's clock when the run started (not: was resumed), and when this was written.
    started_wall_s: float
    written_wall_s: float
    elapsed_s: float
    budget_s: float
    workers: int
    active: int
    #: Sum over all workers, running attempts included, at most workers * min(elapsed, budget).
    busy_s: float
    cpu_percent: Optional[float]
    memory_available_bytes: Optional[int]
    pass_number: int
    units_total: int
    #: Units with at least one verdict; of shares `K/N` see `sltfleet.wire.coverage`.
    units_covered: int
    attempts: int
    outcomes: Dict[str, int]
    cases_passed: int
    cases_failed: int
    #: Distinct cases that have failed, first seen first, at most 100 of them.
    failing: Tuple[str, ...]
    #: When the last attempt ended, on the run's clock; None before the first.
    last_finish_s: Optional[float]
    #: Something the runner cannot do at the moment ("journal: no space left"), "" where all is well.
    trouble: str = ""
    worker_states: Tuple[WorkerState, ...] = field(default_factory=tuple)
    #: Units that time out again and again, and are run rarely; at most 100 of them.
    quarantined: Tuple[str, ...] = ()
    #: Where hosts share the first pass: how many units of it are this host's (None: all), and have a verdict.
    share_total: Optional[int] = None
    share_covered: int = 0
    #: Units that all hosts together have covered, as the shared queue tells; None without one.
    fleet_covered: Optional[int] = None
    format: int = FORMAT_VERSION

    @property
    def occupancy(self) -> float:
        """Busy worker-seconds / (workers x elapsed), 0 to 1. The elapsed time is capped by the budget."""
        span_s = self.workers * min(self.elapsed_s, self.budget_s)
        return min(1.0, self.busy_s / span_s) if span_s > 0 else 0.0


def state_from_json(raw: object) -> State:
    """Return the State that a JSON value describes. Raises FormatError and DecodeError."""
    found = raw.get("format") if isinstance(raw, dict) else None
    check_format(found, "the runner's state file")
    return decode(State, raw)


def identity_to_line(identity: Identity) -> str:
    """Return the content of the file `identity`."""
    return f"{identity.boot_id} {identity.pid} {identity.start_ticks}\n"


def identity_from_line(line: str) -> Optional[Identity]:
    """Return the identity that the file's content names, None where it names none."""
    match = _IDENTITY_LINE.fullmatch(line.strip())
    return None if match is None else Identity(match[1], int(match[2]), int(match[3]))
