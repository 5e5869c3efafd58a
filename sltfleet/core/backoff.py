"""How long to wait before the next poll."""

from __future__ import annotations

#: Between polls of a host that answers.
POLL_INTERVAL_S = 1.0

#: No wait between polls is longer.
MAX_WAIT_S = 30.0


def wait_s(failures: int, chance: float, interval_s: float = POLL_INTERVAL_S) -> float:
    """Return the seconds until the next poll after `failures` failed ones in a row.

    Doubles with each failure up to MAX_WAIT_S, and takes a random share between half and all of it, so that hosts that
    failed together are not asked together again ("equal jitter", M. Brooker, "Exponential Backoff And Jitter", AWS,
    2015). `chance` is a random number from 0 to 1.
    """
    if failures <= 0:
        return interval_s
    ceiling = min(MAX_WAIT_S, interval_s * 2.0 ** min(failures, 16))
    return ceiling / 2 + ceiling / 2 * chance
