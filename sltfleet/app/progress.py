"""What the verbs tell while they work: the one stream that live displays are drawn from.

Events arrive from several threads, one per host; a listener that draws must lock. Sizes are bytes, times seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sltfleet.core.errors import FleetError


@dataclass(frozen=True)
class StepStarted:
    """A host begins a step: `step` is a verb in the -ing form ("connecting", "syncing", "building")."""

    host: str
    step: str


@dataclass(frozen=True)
class TransferProgress:
    """A sync or fetch: bytes that came over, and the rate of the last moments.

    `share` is how much of it is done, 0 to 1; None: not yet known.
    """

    host: str
    done_bytes: int
    share: float | None
    rate_bytes_per_s: float


@dataclass(frozen=True)
class BuildProgress:
    """A build: `crate` has just been compiled, the `done`-th of `total` (None: not known)."""

    host: str
    crate: str
    done: int
    total: int | None


@dataclass(frozen=True)
class StepFinished:
    """A host has done a step; `summary` says in a few words what came of it."""

    host: str
    step: str
    summary: str


@dataclass(frozen=True)
class StepFailed:
    """A host could not do a step."""

    host: str
    step: str
    error: FleetError


@dataclass(frozen=True)
class Warned:
    """Something a person should know, that stops nothing."""

    host: str
    text: str
    fix: str = ""


ProgressEvent = StepStarted | TransferProgress | BuildProgress | StepFinished | StepFailed | Warned

Listener = Callable[[ProgressEvent], None]


def silent(_event: ProgressEvent) -> None:
    """A listener for those who do not care."""
