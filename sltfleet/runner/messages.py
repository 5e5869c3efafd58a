"""What the dispatcher is told and what it asks for, as values.

The shell turns what happens on the host into events, hands them to `Dispatcher.handle`, and does what the returned
actions say. Spawns, signals and what is abandoned are done at once, in order; everything else may wait until the
workers are busy again. Times are seconds on the run's clock, which starts at 0 when the first worker starts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, Optional, Tuple, Union

from sltfleet.runner.verdicts import Verdict
from sltfleet.wire import events as wire


@dataclass(frozen=True)
class Attempt:
    """One execution of a unit by a worker, which may take `timeout_s`. `others` share its process, and run after it."""

    number: int
    unit: str
    worker: int
    pass_number: int
    seed: int
    timeout_s: float
    others: Tuple[Attempt, ...] = ()


# --- events ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Begin:
    """The clock starts, and with it every worker."""


@dataclass(frozen=True)
class Started:
    """The process that a Spawn asked for runs, as leader of a process group of its own."""

    attempt: Attempt
    pid: int


@dataclass(frozen=True)
class SpawnFailed:
    """The process could not be started."""

    attempt: Attempt
    message: str


@dataclass(frozen=True)
class Exited:
    """An attempt's main process was reaped. Exactly one of `exit_code` and `signal` is set.

    `verdict` is what the attempt left behind says; the dispatcher knows whether that still counts. `oom_killed`: the
    kernel has just killed a process for want of memory, and this one got a SIGKILL.
    """

    attempt: Attempt
    exit_code: Optional[int]
    signal: Optional[int]
    verdict: Verdict
    rusage: wire.Rusage = field(default_factory=wire.Rusage)
    survivors: int = 0
    oom_killed: bool = False


@dataclass(frozen=True)
class Tick:
    """Time has passed. Everything that had exited by now has been told before."""


@dataclass(frozen=True)
class StopRequested:
    """A person wants the run to end."""


@dataclass(frozen=True)
class SampleTaken:
    """What the host and the runner use."""

    cpu_percent: float
    memory_available_bytes: int
    runner_rss_bytes: int
    runner_cpu_s: float


@dataclass(frozen=True)
class MemoryChecked:
    """What is left of the host's memory, and what the attempts use, by process group; empty where nobody asks."""

    available_bytes: int
    used_bytes: Dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class QueueTold:
    """The queue that the hosts share has told the scheduler something; `events` is what the journal is to know."""

    events: Tuple[wire.Event, ...]


Event = Union[Begin, Started, SpawnFailed, Exited, Tick, StopRequested, SampleTaken, MemoryChecked, QueueTold]


# --- actions --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Spawn:
    """Start this attempt now; answer with Started or SpawnFailed.

    `remaining_s` is what is left of the budget. `ahead`: an older pass is not complete yet, so this attempt must not
    take the CPU from the ones that it waits for.
    """

    attempt: Attempt
    remaining_s: float
    ahead: bool = False


@dataclass(frozen=True)
class SignalGroup:
    """Send a signal to the process group of a running attempt."""

    pid: int
    signal: int


@dataclass(frozen=True)
class Abandon:
    """A running attempt's process cannot be ended: leave it to the kernel. Its worker gets other output files."""

    pid: int


@dataclass(frozen=True)
class Settle:
    """Keep the output of an attempt that is over, note in the events where it is, and record them.

    `event` decides how it is kept; `others` are the other attempts of its process. `process`: the number of the attempt
    that led it, None for the event's own.
    """

    event: wire.AttemptFinished
    others: Tuple[wire.AttemptFinished, ...] = ()
    process: Optional[int] = None


@dataclass(frozen=True)
class Record:
    """Append this to the journal."""

    event: wire.Event


@dataclass(frozen=True)
class WriteState:
    """Write the state file soon: the phase has changed."""


@dataclass(frozen=True)
class Finish:
    """All workers have left; nothing more will come."""

    reason: str


Action = Union[Spawn, SignalGroup, Abandon, Settle, Record, WriteState, Finish]
