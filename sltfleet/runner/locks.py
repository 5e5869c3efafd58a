"""The project's locks: "active" means that a living runner holds one, and nothing else.

The kernel frees a lock when its holder dies, however it dies. No attempt inherits it: the descriptor is close-on-exec.
"""

from __future__ import annotations

import fcntl
import os
from typing import Optional

from sltfleet.runner.files import FILE_MODE


def try_lock(path: str) -> Optional[int]:
    """Lock the file, making it where it is missing. Returns the descriptor that holds the lock, None where another
    process does.

    Raises OSError.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    except OSError:
        os.close(fd)
        raise
    return fd


def is_locked(path: str) -> bool:
    """Whether another process holds the lock. Raises OSError."""
    fd = try_lock(path)
    if fd is None:
        return True
    os.close(fd)
    return False
