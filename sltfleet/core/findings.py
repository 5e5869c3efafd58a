"""What doctor says about one thing: a level, a sentence, and what to do; and what a host is measured against."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Level(IntEnum):
    """How bad a finding is; the largest one is the host's."""

    OK = 0
    NOTE = 1
    WARNING = 2
    ERROR = 3

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class Finding:
    """One check's outcome: `text` says what was found, `fix` what to type or change ("" where nothing need be done)."""

    level: Level
    check: str
    text: str
    fix: str = ""

    def to_json(self) -> dict[str, str]:
        """Return the documented JSON shape."""
        return {"level": str(self.level), "check": self.check, "text": self.text, "fix": self.fix}


@dataclass(frozen=True)
class Skew:
    """The host's clock minus the controller's, in seconds, true within `uncertainty_s` either way."""

    offset_s: float
    uncertainty_s: float


@dataclass(frozen=True)
class Needs:
    """What fleet.yaml wants of a host: its `workers` (None: one per core), cargo with what it takes to compile Rust,
    toolchains by rustup's names, and whether runs share a queue.
    """

    workers: int | None = None
    toolchains: tuple[str, ...] = ()
    cargo: bool = True
    queue: bool = False
