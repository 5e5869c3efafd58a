"""What rsync's exit codes and messages mean, and what to do about each.

The codes are those of rsync(1), "EXIT VALUES".
"""

from __future__ import annotations

import re

from sltfleet.core.errors import ConnectError, FleetError, HostKeyError, LoginError, SyncError
from sltfleet.core.full_disk import disk_full, is_disk_full
from sltfleet.core.rsync import skipped_deletions

#: Of what rsync and ssh print on standard error, the last so many lines are shown.
MAX_SHOWN_LINES = 20

_LOGIN = re.compile(r"Permission denied \(|Too many authentication failures", re.IGNORECASE)
_HOST_KEY = re.compile(r"Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED")
_NO_RSYNC = re.compile(r"rsync: (?:command )?not found|Unknown command: rsync|rsync: No such file", re.IGNORECASE)

#: Exit codes for which only the word for what happened differs.
_REASONS = {
    1: "rsync there does not know an option: it is older than 3.1",
    2: "what answered is not rsync: a login shell there prints something in sessions without a terminal",
    3: "a file or folder could not be selected",
    4: "rsync there lacks something that is needed: it is older than 3.1",
    5: "the client and the server could not agree",
    10: "the connection broke",
    # What it said of it may be lost with the connection that it ends.
    11: "a file could not be written there: the disk may be full",
    12: "the connection broke",
    13: "rsync there reported a defect of its own",
    14: "rsync could not start a process",
    22: "there was not enough memory",
    23: "some files could not be read here or written there",
    24: "files vanished here while they were read",
    30: "nothing was heard for too long",
    35: "no connection came about in time",
}
_FIXES = {
    1: "`sltfleet setup` installs a newer rsync there",
    2: "make `ssh HOST true` print nothing: shell start-up files must be silent without a terminal",
    4: "`sltfleet setup` installs a newer rsync there",
    11: "`sltfleet doctor` shows the room on its disk, `sltfleet clean` deletes old runs",
    24: "run `sltfleet sync` again when nothing changes the repo",
}
_CONNECTION_CODES = frozenset({5, 10, 12, 30, 35, 255})


def sync_failure(
    exit_code: int, stderr: str, *, mount: str = "", free_bytes: int | None = None, max_delete: int | None = None
) -> FleetError:
    """Return the error for an rsync that ended with `exit_code` (not 0).

    `mount` and `free_bytes` are those of the host's disk before the sync.
    """
    detail = "\n".join(line for line in stderr.strip().splitlines()[-MAX_SHOWN_LINES:])
    if is_disk_full(stderr):
        return disk_full(stderr, SyncError, mount=mount, free_bytes=free_bytes, detail=detail)
    if exit_code == 25:
        skipped = skipped_deletions(stderr)
        return too_many_deletions(skipped, max_delete or 0, stopped_midway=True)
    if _HOST_KEY.search(stderr):
        fix = "compare its key with the known one: `ssh-keygen -F HOST` shows that, `sltfleet doctor` says more"
        return HostKeyError("the host's key is not trusted", detail=detail, fix=fix)
    if exit_code == 255 and _LOGIN.search(stderr):
        return LoginError("the login is refused", detail=detail, fix="check user and key: `ssh -v HOST true`")
    if exit_code == 127 or _NO_RSYNC.search(stderr):
        return no_rsync_there()
    why = _REASONS.get(exit_code, f"rsync ended with exit code {exit_code}")
    if exit_code == 255:
        return ConnectError("no connection for rsync", "ssh gave up", "try `ssh HOST true`", detail=detail)
    fix = _FIXES.get(exit_code, "run `sltfleet sync` again" if exit_code in _CONNECTION_CODES else "")
    return SyncError("the sync did not get to its end", why, fix, detail=detail)


def too_many_deletions(
    count: int, max_delete: int, *, names: tuple[str, ...] = (), stopped_midway: bool = False
) -> SyncError:
    """Return the error for a sync that would delete more than `max_delete` allows; `names` are the first of them."""
    more, done = (" more", "so many were deleted") if stopped_midway else ("", "nothing was deleted")
    enough = _round_up(count + max_delete if stopped_midway else count)
    return SyncError(
        f"the sync would delete {count}{more} files",
        f"at most {max_delete} may be deleted (sync.max_delete); {done}",
        f"look at them with `sltfleet sync --dry-run`; if they may go, set sync.max_delete to {enough}",
        detail="\n".join(names),
    )


def no_rsync_there() -> SyncError:
    """Return the error for a host that has no rsync."""
    why = "it is not on the PATH of a session without a terminal"
    return SyncError("rsync is not installed there", why, "`sltfleet setup` installs it")


def no_rsync_here() -> SyncError:
    """Return the error for a controller that has no rsync."""
    return SyncError("rsync is not installed on this machine", fix="install it: `apt-get install rsync`")


def _round_up(count: int) -> int:
    step = int("1" + "0" * max(1, len(str(count)) - 1))
    return -(-count // step) * step
