"""Whether there is memory for another attempt, and when one must go. Pure; what is measured comes from `footprint`.

A unit's claim is the most that one process of it ever used, less what every unit of the suite uses at least: the
executable's pages are shared, and must not be counted for every worker. Units that claim nothing are held back by real
shortage only. docs/decisions/008-memory.md has the reasons.
"""

from __future__ import annotations

from typing import Dict, Iterable, Optional

from sltfleet.runner import slots as st
from sltfleet.runner.knowledge import Knowledge
from sltfleet.runner.slots import Slot

#: What is taken for shared at most: beyond it a unit's least use is its own.
SHARED_MOST_BYTES = 256 * 1024 * 1024

#: The reserve where the suite names none: this part of the memory, at most so much.
RESERVE_PART = 0.05
RESERVE_MOST_BYTES = 512 * 1024 * 1024

#: After a shortage attempts are started again when so many times the reserve is available.
RELIEF = 2.0


def default_reserve_bytes(memory_bytes: int) -> int:
    """Return the reserve of a host with so much memory (0: unknown)."""
    return min(RESERVE_MOST_BYTES, int(RESERVE_PART * memory_bytes))


class Memory:
    """What the running attempts claim of the host's memory, and what is left of it."""

    def __init__(self, knowledge: Knowledge, reserve_bytes: int = 0, limit_bytes: Optional[int] = None) -> None:
        self.limit_bytes = limit_bytes
        self._knowledge = knowledge
        self._reserve_bytes = reserve_bytes
        #: What was available before the first attempt, and at the latest check. None: never checked.
        self._at_first: Optional[int] = None
        self.available_bytes: Optional[int] = None
        #: The claims of the running attempts by number, their sum, and that of those that the check has not seen.
        self._claims: Dict[int, int] = {}
        self._claimed = 0
        self._unseen = 0
        #: There was a shortage, and there is no relief yet.
        self._strained = False

    def checked(self, available_bytes: int) -> None:
        """So much is available now."""
        if self._at_first is None:
            self._at_first = available_bytes
        self.available_bytes = available_bytes
        self._unseen = 0
        if self.short:
            self._strained = True
        elif available_bytes >= RELIEF * self._reserve_bytes:
            self._strained = False

    @property
    def short(self) -> bool:
        """Whether less than the reserve is available."""
        return self.available_bytes is not None and self.available_bytes < self._reserve_bytes

    def admits(self, unit: str) -> bool:
        """Whether there is memory for the unit. When nothing else runs there always is."""
        if not self._claims or self.available_bytes is None or self._at_first is None:
            return True
        if self._strained:
            return False
        claim = self._claim(unit)
        planned = self._at_first - self._reserve_bytes - self._claimed
        actual = self.available_bytes - self._reserve_bytes - self._unseen
        return claim == 0 or claim <= min(planned, actual)

    def started(self, attempt: int, unit: str) -> None:
        """The attempt is being started."""
        claim = self._claim(unit)
        self._claims[attempt] = claim
        self._claimed += claim
        self._unseen += claim

    def ended(self, attempt: int) -> None:
        """The attempt is over, or was never started."""
        self._claimed -= self._claims.pop(attempt, 0)

    def to_displace(self, slots: Iterable[Slot]) -> Optional[Slot]:
        """Return the worker whose attempt must go because memory is short: the youngest, where several run.

        None also while an attempt is on its way out: what that frees is to be seen first.
        """
        if not self.short:
            return None
        busy = [slot for slot in slots if isinstance(slot.state, st.Busy)]
        running = [slot for slot in busy if isinstance(slot.state, st.Running)]
        if len(busy) < 2 or len(running) < len(busy):
            return None
        return max(running, key=_age)

    def _claim(self, unit: str) -> int:
        shared = min(SHARED_MOST_BYTES, self._knowledge.least_peak_bytes)
        return max(0, self._knowledge.peak_bytes(unit) - shared)


def _age(slot: Slot) -> float:
    assert isinstance(slot.state, st.Running)
    return slot.state.since_s
