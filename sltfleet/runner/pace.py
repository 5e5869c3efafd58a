"""How often something happens: a mean in which what is long past counts for nothing, and when it is due next. Pure."""

from __future__ import annotations

import math

#: The mean is over about so many seconds.
PACE_S = 1.0


class Pace:
    """Counts how often something happens, and forgets it exponentially. `now` never goes back."""

    def __init__(self) -> None:
        #: The pace at the time at which it was last counted.
        self._pace, self._at_s = 0.0, 0.0

    def count(self, now: float) -> None:
        """It happens."""
        self._pace, self._at_s = self.per_second(now) + 1 / PACE_S, now

    def per_second(self, now: float) -> float:
        """Return how often per second it happens at the moment."""
        return self._pace * math.exp((self._at_s - now) / PACE_S)


def next_due_s(now: float, every_s: float) -> float:
    """Return the first whole multiple of `every_s` after `now`.

    What is due every second and what is due every quarter of one then need one wake-up, not two.
    """
    return (now // every_s + 1.0) * every_s
