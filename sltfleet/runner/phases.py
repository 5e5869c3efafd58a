"""What a dispatcher is made with, and which part of its life a run is in, as variants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Union


@dataclass(frozen=True)
class Config:
    """What the dispatcher must know of the spec. `exhausted` is the reason when the schedule has no more units."""

    workers: int
    units: int
    budget_s: float
    kill_after_s: float
    fail_fast: Optional[int] = None
    exhausted: str = "passes"


@dataclass(frozen=True)
class Live:
    """Workers get new attempts."""


@dataclass(frozen=True)
class Stopping:
    """No new attempts; what still runs at `give_up_at_s` is left to itself."""

    reason: str
    give_up_at_s: float


@dataclass(frozen=True)
class Over:
    """Every worker has left."""

    reason: str


Phase = Union[Live, Stopping, Over]
