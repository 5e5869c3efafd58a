"""What one worker does at the moment, as a variant that carries just that moment's data.

Every variant has `due_s`: the time at which something must be done about it, None where nothing ever must.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional, Union

from sltfleet.runner.messages import Attempt
from sltfleet.runner.verdicts import Cause


@dataclass(frozen=True)
class Idle:
    """Nothing, until the run ends: its start is past the budget."""

    due_s: Optional[float] = None


@dataclass(frozen=True)
class Starting:
    """A Spawn is on its way to the shell, which answers at once."""

    attempt: Attempt
    due_s: Optional[float] = None


@dataclass(frozen=True)
class BackingOff:
    """An attempt could not be started; the next one is tried at `due_s`."""

    due_s: float


@dataclass(frozen=True)
class Waiting:
    """There is no memory for another attempt, or the queue has not answered yet; it asks again at `due_s` at last."""

    due_s: float


@dataclass(frozen=True)
class Running:
    """An attempt runs since `since_s`; it times out at `due_s`."""

    attempt: Attempt
    pid: int
    since_s: float
    due_s: float


@dataclass(frozen=True)
class Ending:
    """The attempt was sent SIGTERM for `cause`; at `due_s` comes SIGKILL."""

    attempt: Attempt
    pid: int
    since_s: float
    cause: Cause
    due_s: float


@dataclass(frozen=True)
class Killed:
    """The attempt was sent SIGKILL: it goes as soon as the kernel lets it. At `due_s` it is no longer waited for."""

    attempt: Attempt
    pid: int
    since_s: float
    cause: Cause
    due_s: float


@dataclass(frozen=True)
class Left:
    """The worker is gone."""

    due_s: Optional[float] = None


SlotState = Union[Idle, Starting, BackingOff, Waiting, Running, Ending, Killed, Left]

#: The states in which a process runs.
Busy = (Running, Ending, Killed)


@dataclass
class Slot:
    """A worker: what it does, and what it has done since the run's clock began."""

    worker: int
    state: SlotState = field(default_factory=Idle)
    attempts: int = 0
    #: Of finished attempts, clipped to the budget.
    busy_s: float = 0.0
    #: Attempts in a row that could not be started.
    start_failures: int = 0

    def busy_until(self, now: float, budget_s: float) -> float:
        """Busy seconds within the budget, the running attempt included."""
        if isinstance(self.state, Busy):
            return self.busy_s + busy_within(self.state.since_s, now, budget_s)
        return self.busy_s


def busy_within(start_s: float, end_s: float, budget_s: float) -> float:
    """The part of an attempt that lies within the budget: what comes after it counts for nobody."""
    return max(0.0, min(end_s, budget_s) - start_s)
