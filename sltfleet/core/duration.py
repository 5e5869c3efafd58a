"""Durations as people write them (`300`, `500ms`, `1h30m`) and as tables show them ("1h 05m"). Inside: seconds."""

from __future__ import annotations

import re

#: Longer than any campaign; a larger number is a slip of the keyboard.
MAX_DURATION_S = 366 * 86400.0

_NUMBER = r"[0-9]+(\.[0-9]+)?"

#: Also the JSON Schema's pattern, so it keeps to what Python's and ECMAScript's expressions have in common. A bare
#: number is seconds; each unit may appear once, largest first, with a space between the parts as in what
#: `format_duration` returns.
DURATION_PATTERN = rf"^({_NUMBER}|(?=[0-9])({_NUMBER}d ?)?({_NUMBER}h ?)?({_NUMBER}m ?)?({_NUMBER}s ?)?({_NUMBER}ms)?)$"

_UNITS_S = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "": 1.0}
_WHOLE = re.compile(DURATION_PATTERN)
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|[dhms]?)")


class DurationError(ValueError):
    """A text is no duration."""


def parse_duration(text: str) -> float:
    """Return the seconds of `300`, `0.5`, `300s`, `500ms`, `5m`, `1h30m` or `2d`. Raises DurationError."""
    stripped = text.strip()
    if not _WHOLE.fullmatch(stripped):
        raise DurationError(f"{text!r} is no duration: write seconds, or numbers with d, h, m, s, ms, such as 1h30m")
    return check_duration(sum(float(number) * _UNITS_S[unit] for number, unit in _PART.findall(stripped)))


def check_duration(seconds: float) -> float:
    """Return `seconds` where they are a duration: more than 0, at most MAX_DURATION_S, finite. Raises DurationError."""
    # Written so that a NaN, which is neither, fails as well.
    if not seconds > 0:
        raise DurationError("a duration must be more than 0")
    if not seconds <= MAX_DURATION_S:
        raise DurationError(f"longer than {MAX_DURATION_S / 86400:.0f} days")
    return seconds


def format_duration(seconds: float) -> str:
    """Return a duration in at most seven characters up to 99 days, e.g. "450ms", "7.3s", "1m 05s", "1h 05m", "2d 03h".

    What is shown is rounded, half to even; negative durations (a clock that went back) are shown as "0s".
    """
    if seconds <= 0:
        return "0s"
    if round(seconds, 3) < 1:
        return f"{round(seconds * 1000)}ms"
    if round(seconds, 1) < 60:
        return f"{seconds:.1f}s"
    whole_s = round(seconds)
    if whole_s < 3600:
        return f"{whole_s // 60}m {whole_s % 60:02d}s"
    whole_min = round(seconds / 60)
    if whole_min < 24 * 60:
        return f"{whole_min // 60}h {whole_min % 60:02d}m"
    whole_h = round(seconds / 3600)
    return f"{whole_h // 24}d {whole_h % 24:02d}h"
