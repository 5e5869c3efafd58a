"""A host's disk that is full, as the tools there tell of it, and the error that says what to do."""

from __future__ import annotations

import re
from typing import TypeVar

from sltfleet.core.errors import FleetError

E = TypeVar("E", bound=FleetError)

_FULL_DISK = re.compile(r"No space left on device|Disk quota exceeded", re.IGNORECASE)
_FULL_PATH = re.compile(r"\"([^\"\n]+)\"[^\n]*(?:No space left|quota exceeded)", re.IGNORECASE)


def is_disk_full(stderr: str) -> bool:
    """Whether what a tool printed says that there was no room."""
    return _FULL_DISK.search(stderr) is not None


def disk_full(stderr: str, kind: type[E], *, mount: str = "", free_bytes: int | None = None, detail: str = "") -> E:
    """Return the error for a full disk; `mount` and `free_bytes` are those of the host's disk before the sync."""
    named = _FULL_PATH.search(stderr)
    place = f" {mount}" if mount else ""
    free = f" ({_mebibytes(free_bytes)} were free before)" if free_bytes is not None else ""
    why = f"{named.group(1)} did not fit" if named else "no space is left there"
    fix = "free some space there (`sltfleet clean` deletes old runs), or give the host another `root`"
    return kind(f"the disk{place} is full", why + free, fix, detail=detail)


def _mebibytes(size_bytes: int) -> str:
    return f"{size_bytes / 1024 / 1024:.0f} MiB"
