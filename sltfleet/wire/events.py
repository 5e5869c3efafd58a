"""What a runner writes into its journal, one JSON object per line, only ever appended.

Every event has `t`: seconds on the run's clock, the host's monotonic one since the run started; it stands still from
the last thing known of a lost runner until the run is resumed. Wall-clock time stands in `RunStarted` and `RunResumed`
only, so that a clock that jumps changes no duration. Seconds are floats, sizes are bytes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import ClassVar, Optional, Tuple, Union

from sltfleet.wire.codec import DecodeError, decode_kind, to_text
from sltfleet.wire.format import FORMAT_VERSION, check_format
from sltfleet.wire.state import Identity


@dataclass(frozen=True)
class FailedCase:
    """A case that did not pass, and the first message it gave."""

    name: str
    message: str = ""


@dataclass(frozen=True)
class Rusage:
    """What wait4 says an attempt used, its reaped children included."""

    user_s: float = 0.0
    system_s: float = 0.0
    max_rss_bytes: int = 0
    major_faults: int = 0
    voluntary_switches: int = 0
    involuntary_switches: int = 0


@dataclass(frozen=True)
class Output:
    """What an attempt printed: `size_bytes` in all.

    `path`, relative to the run's folder, is where it was kept ("" where it was not).
    """

    size_bytes: int = 0
    path: str = ""
    truncated: bool = False


@dataclass(frozen=True)
class RunStarted:
    """Always the first line of a journal."""

    kind: ClassVar[str] = "run-started"
    t: float
    run_id: str
    project: str
    host: str
    suite: str
    #: Seconds since the epoch, on the host's clock.
    wall_s: float
    identity: Identity
    workers: int
    #: The ids of all units, in their natural order.
    units: Tuple[str, ...]
    budget_s: float
    seed: int
    once: bool
    build_digest: str
    commit: str
    dirty_digest: str
    toolchain: str
    cores: float
    memory_bytes: int
    sltfleet_version: str
    #: How many hosts share the units of the first pass, and how many of them are this host's; None: all.
    members: int = 1
    share_units: Optional[int] = None
    format: int = FORMAT_VERSION


@dataclass(frozen=True)
class RunResumed:
    """Another runner goes on with the run, at the last time that was known; the ends of what was lost with the one
    before follow, as `cut`.

    It may stand behind a `run-finished`: that of a runner which was stopped, or had failed itself.
    """

    kind: ClassVar[str] = "run-resumed"
    t: float
    #: Seconds since the epoch, on the host's clock.
    wall_s: float
    identity: Identity


@dataclass(frozen=True)
class WorkerStarted:
    """A worker's slot came to life, or to life again in a run that was resumed."""

    kind: ClassVar[str] = "worker-started"
    t: float
    worker: int


@dataclass(frozen=True)
class AttemptStarted:
    """A process runs. `attempt` counts from 1 on this host; `pass_number` from 1.

    `timeout_s`: how long the process may take, 0 where the writer of the journal did not tell.
    """

    kind: ClassVar[str] = "attempt-started"
    t: float
    attempt: int
    unit: str
    worker: int
    pass_number: int
    seed: int
    pid: int
    timeout_s: float = 0.0


@dataclass(frozen=True)
class AttemptFinished:
    """An attempt is over, its process reaped and its process group gone.

    `t` is its end; it started at `t - duration_s`. Exactly one of `exit_code` and `signal` is set, none for `infra` and
    for one whose end no runner saw.
    `passed` and `failed` are the cases; for an attempt that the runner cut they are empty.
    """

    kind: ClassVar[str] = "attempt-finished"
    t: float
    attempt: int
    unit: str
    worker: int
    pass_number: int
    seed: int
    outcome: str
    duration_s: float
    exit_code: Optional[int] = None
    signal: Optional[int] = None
    passed: Tuple[str, ...] = ()
    failed: Tuple[FailedCase, ...] = ()
    #: Why, for an outcome that needs a reason: the first message, "timed out after 300 s", "cannot start: …".
    message: str = ""
    rusage: Rusage = field(default_factory=Rusage)
    output: Output = field(default_factory=Output)
    #: Processes of the attempt that outlived its main process, and were killed.
    survivors: int = 0


@dataclass(frozen=True)
class Counted:
    """The shared queue counts these attempts for the pass: of all hosts' verdicts about their units they came first.

    Without a shared queue there is no such event, and every verdict counts.
    """

    kind: ClassVar[str] = "counted"
    t: float
    pass_number: int
    attempts: Tuple[int, ...]


@dataclass(frozen=True)
class PassFinished:
    """Every unit of a pass has been attempted. Workers may be in later passes long since.

    `units`: how many this pass had on this host: of a share those, and without what was in quarantine.
    """

    kind: ClassVar[str] = "pass-finished"
    t: float
    pass_number: int
    units: int


@dataclass(frozen=True)
class Sample:
    """The host, about once a second: CPU of all cores since the last sample, memory, and the runner itself."""

    kind: ClassVar[str] = "sample"
    t: float
    cpu_percent: float
    memory_available_bytes: int
    active: int
    runner_rss_bytes: int
    runner_cpu_s: float


@dataclass(frozen=True)
class WorkerStopped:
    """A worker left: it lived `lifetime_s`, of which it was busy `busy_s`."""

    kind: ClassVar[str] = "worker-stopped"
    t: float
    worker: int
    lifetime_s: float
    busy_s: float
    attempts: int
    reason: str


@dataclass(frozen=True)
class Note:
    """Something a person should know: a folder that could not be written, a sample that could not be taken."""

    kind: ClassVar[str] = "note"
    t: float
    text: str


@dataclass(frozen=True)
class RunFinished:
    """Always the last line of a journal whose runner said goodbye, until the run is resumed.

    Reasons: `sltfleet.wire.state.REASONS`. The numbers are those of the whole run.
    """

    kind: ClassVar[str] = "run-finished"
    t: float
    reason: str
    passes: int
    attempts: int
    covered: int


Event = Union[
    RunStarted,
    RunResumed,
    WorkerStarted,
    AttemptStarted,
    AttemptFinished,
    Counted,
    PassFinished,
    Sample,
    WorkerStopped,
    Note,
    RunFinished,
]

EVENT_CLASSES = (
    RunStarted,
    RunResumed,
    WorkerStarted,
    AttemptStarted,
    AttemptFinished,
    Counted,
    PassFinished,
    Sample,
    WorkerStopped,
    Note,
    RunFinished,
)


def event_to_line(event: Event) -> bytes:
    """Return the journal line of an event, newline included."""
    return to_text(event).encode("ascii") + b"\n"


def event_from_line(line: bytes) -> Event:
    """Return the event of one complete journal line (with or without its newline).

    Raises DecodeError, and FormatError for a `run-started` of another format.
    """
    try:
        raw: object = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DecodeError("line", f"is not JSON: {error}") from None
    if isinstance(raw, dict) and raw.get("kind") == RunStarted.kind:
        check_format(raw.get("format"), f"the journal of run {str(raw.get('run_id'))!r}")
    event: Event = decode_kind(EVENT_CLASSES, raw, "line")
    return event
