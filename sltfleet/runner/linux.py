"""The few Linux system calls that Python's standard library lacks, by ctypes; False where one cannot be done."""

from __future__ import annotations

import contextlib
import ctypes
import os
from typing import Optional

_PR_SET_CHILD_SUBREAPER = 36
_FALLOC_FL_KEEP_SIZE = 1
_FALLOC_FL_PUNCH_HOLE = 2

_libc: Optional[ctypes.CDLL] = None


def _c() -> ctypes.CDLL:
    global _libc
    if _libc is None:
        _libc = ctypes.CDLL(None, use_errno=True)
    return _libc


def become_subreaper() -> bool:
    """Orphaned descendants of this process become its children, see PR_SET_CHILD_SUBREAPER in prctl(2)."""
    one, zero = ctypes.c_ulong(1), ctypes.c_ulong(0)
    return bool(_c().prctl(_PR_SET_CHILD_SUBREAPER, one, zero, zero, zero) == 0)


def raise_oom_score(pid: int) -> None:
    """When memory runs out the kernel is to take this process rather than the runner or anything else on the host.

    Any process may raise the score of its own user's processes, see proc_pid_oom_score_adj(5). Nothing happens where
    the process is gone, or the host forbids it: this is not worth an attempt.
    """
    with contextlib.suppress(OSError):
        fd = os.open(f"/proc/{pid}/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, b"500")
        finally:
            os.close(fd)


def punch_hole(fd: int, offset: int, length: int) -> bool:
    """Give the bytes back to the filesystem; the file's size stays. See fallocate(2)."""
    try:
        # 64-bit offsets on every platform; musl has only `fallocate`, which takes them anyhow.
        fallocate = getattr(_c(), "fallocate64", None) or _c().fallocate
    except AttributeError:
        return False
    mode = ctypes.c_int(_FALLOC_FL_PUNCH_HOLE | _FALLOC_FL_KEEP_SIZE)
    return bool(fallocate(ctypes.c_int(fd), mode, ctypes.c_int64(offset), ctypes.c_int64(length)) == 0)


def open_pidfd(pid: int) -> Optional[int]:
    """Return a descriptor that stands for the process, whoever gets its number later; None where there is none."""
    opener = getattr(os, "pidfd_open", None)  # Python 3.9 and Linux 5.3
    if opener is None:
        return None
    try:
        descriptor: int = opener(pid)
    except OSError:
        return None
    return descriptor
