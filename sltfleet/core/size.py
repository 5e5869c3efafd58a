"""Sizes as people write them (`4MiB`, `500kB`) and as tables show them ("4.0 MiB"); inside they are bytes."""

from __future__ import annotations

import re

#: 1 EiB: a larger number is a slip of the keyboard, and no JSON reader would take it exactly.
MAX_SIZE_BYTES = 2**60

#: Also the JSON Schema's pattern, so it keeps to what Python's and ECMAScript's expressions have in common.
SIZE_PATTERN = r"^([0-9]+|[0-9]+(\.[0-9]+)? ?(B|[kK]B|[MGT]B|[KMGT]iB))$"

_DECIMAL = {"B": 1, "KB": 1000, "MB": 1000**2, "GB": 1000**3, "TB": 1000**4}
_BINARY = {"KIB": 1024, "MIB": 1024**2, "GIB": 1024**3, "TIB": 1024**4}
_UNITS_BYTES = {**_DECIMAL, **_BINARY}
_WHOLE = re.compile(SIZE_PATTERN)
_DIGITS = re.compile(r"[0-9]+")
_STEPS = ("KiB", "MiB", "GiB", "TiB")


class SizeError(ValueError):
    """A text is no size."""


def parse_size(text: str) -> int:
    """Return the bytes of `4MiB`, `1.5GiB`, `500kB` or `4096`; fractions of a byte are rounded. Raises SizeError."""
    stripped = text.strip()
    if _DIGITS.fullmatch(stripped):
        # A number of thousands of digits is not even read: Python refuses to.
        return check_size(int(stripped) if len(stripped) < 40 else MAX_SIZE_BYTES + 1)
    if not _WHOLE.fullmatch(stripped):
        raise SizeError(f"{text!r} is no size: write bytes, or a number with kB, MB, GB, KiB, MiB, GiB, such as 4MiB")
    number = stripped.rstrip("BkKMGTi ")
    return check_size(float(number) * _UNITS_BYTES[stripped[len(number) :].strip().upper()])


def check_size(size_bytes: float) -> int:
    """Return `size_bytes`, rounded, where it is a size: at least 1, at most MAX_SIZE_BYTES. Raises SizeError."""
    # Compared before it is rounded, and so that a NaN fails as well: only a finite number can be rounded.
    if not size_bytes <= MAX_SIZE_BYTES:
        raise SizeError(f"more than {format_size(MAX_SIZE_BYTES)}")
    if not size_bytes >= 1:
        raise SizeError("a size must be at least 1 byte")
    return round(size_bytes)


def format_size(size_bytes: float) -> str:
    """Return a size in binary units with one decimal, e.g. "512 B", "4.0 MiB"."""
    if round(size_bytes) < 1024:
        return f"{round(size_bytes)} B"
    value = float(size_bytes)
    for unit in _STEPS:
        value /= 1024
        # By what is shown: 1023.96 KiB would be shown as "1024.0 KiB".
        if round(value, 1) < 1024:
            return f"{value:.1f} {unit}"
    return f"{value:.1f} {_STEPS[-1]}"
