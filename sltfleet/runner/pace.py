"""How often something happens per second: a mean in which what is long past counts for nothing. Pure."""

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
