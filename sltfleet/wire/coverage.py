"""How much of a suite was covered: what the runner shows while it runs, and a report afterwards, must be the same.

A unit is covered by a verdict about it, in whatever pass. A share (`K/N`) of a suite that can only be told its share is
another one under another seed: share 3 of one pass and share 4 of the next may leave the same file out. So shares count
together only where they had the same seed, as those of one pass have, and the best seed counts.
"""

from __future__ import annotations

import re
from typing import Dict, Set

_SHARE = re.compile(r"[0-9]+/[0-9]+\Z")


def is_share(unit: str) -> bool:
    """Whether a unit is a share (`K/N`) of a suite: what is in it changes with the seed of each pass."""
    return _SHARE.match(unit) is not None


class Coverage:
    """Units with a verdict, each counted once; there are `total` of them."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._units: Set[str] = set()
        #: By seed; forgotten once the shares of one seed were all there, since a run may have passes without end.
        self._shares: Dict[int, Set[str]] = {}
        self._complete = False

    @property
    def count(self) -> int:
        """How many units are covered."""
        if self._complete:
            return self._total
        return len(self._units) + max(map(len, self._shares.values()), default=0)

    def add(self, unit: str, seed: int) -> None:
        """There is a verdict about a unit that was run with this seed."""
        if self._complete:
            return
        if is_share(unit):
            self._shares.setdefault(seed, set()).add(unit)
        else:
            self._units.add(unit)
        if self.count >= self._total:
            self._complete = True
            self._units.clear()
            self._shares.clear()
