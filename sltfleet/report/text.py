"""How numbers look in every table: percentages with one decimal, durations and sizes as people say them, counts with
commas.
"""

from __future__ import annotations

from sltfleet.core.duration import format_duration

#: Where there is nothing to show.
NOTHING = "-"


def percent(share: float | None) -> str:
    """Return 0.9973 as `99.7 %`, None as `-`; only a whole 1 is shown as `100.0 %`."""
    if share is None:
        return NOTHING
    return f"{min(share, 0.999) * 100:.1f} %" if 0.999 < share < 1.0 else f"{share * 100:.1f} %"


def count(number: float) -> str:
    """Return a number with commas between thousands, and one decimal where it is not whole and small."""
    return f"{number:,.1f}" if number != int(number) and number < 1000 else f"{round(number):,}"


def duration(seconds: float | None) -> str:
    """Return a duration, None as `-`."""
    return NOTHING if seconds is None else format_duration(seconds)


def of(part: float, whole: float) -> str:
    """Return `part/whole`, both as counts."""
    return f"{count(part)}/{count(whole)}"
