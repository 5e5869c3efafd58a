"""Whether the disk has room for a run to begin: on one that is full, a runner could not even say why it ends."""

from __future__ import annotations

import os
from typing import Optional

from sltfleet.wire.handshake import Refused

#: What the first moments of a run take, many times over. How much a whole run will take nobody knows.
NEEDED_BYTES = 1024 * 1024


def no_room(folder: str) -> Optional[Refused]:
    """Return the answer to a launch in a folder whose disk is full, None where there is room. Raises OSError."""
    disk = os.statvfs(folder)
    free_bytes = disk.f_bavail * disk.f_frsize
    # Some filesystems do not count files, and say 0 of 0.
    if free_bytes >= NEEDED_BYTES and (disk.f_favail > 0 or disk.f_files == 0):
        return None
    what = f"{free_bytes // 1024} KiB" if free_bytes < NEEDED_BYTES else "no files"
    message = f"the disk of {folder} is full: {what} can be written"
    return Refused("tree", message, "free some space there: `sltfleet clean` deletes old runs")
