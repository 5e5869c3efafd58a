"""Ends what an attempt leaves behind: the rest of its process group, and daemons that left the group.

The runner is a child subreaper, so an orphaned descendant of any attempt becomes the runner's own child. Which attempt
it belongs to is told by its process group, then by the mark in its environment. A process that wiped its environment
could belong to any attempt that was running when it started, so it is spared until all of those are over.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import Dict, Set

from sltfleet.runner.processes import Children, mark_of, read_stat


class Orphans:
    """Knows the running attempts, and ends what belongs to none of them."""

    def __init__(self, run_dir: str) -> None:
        self._run_dir = run_dir
        self._children = Children()
        #: The running attempts: the main process' pid (and process group) -> the attempt's number and start ticks.
        self._attempts: Dict[int, int] = {}
        self._start_ticks: Dict[int, int] = {}
        #: Orphans that were sent SIGKILL and are not reaped yet.
        self._killed: Set[int] = set()

    def started(self, pid: int, attempt: int) -> None:
        """An attempt runs as `pid`."""
        self._attempts[pid] = attempt

    def reaped(self, pid: int) -> None:
        """The child is gone, an attempt's main process or an orphan."""
        self._attempts.pop(pid, None)
        self._start_ticks.pop(pid, None)
        self._killed.discard(pid)

    def abandoned(self, pid: int) -> None:
        """SIGKILL does not end that attempt: it holds up nothing, and is not killed again for the sake of others."""
        self._attempts.pop(pid, None)
        self._killed.add(pid)

    def end_remains(self, group: int) -> int:
        """End whatever is left of the attempt that was reaped as `group`. Returns how many processes were found."""
        found = self.end_strays()
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            return found
        except PermissionError:  # it changed its user: it is there, and cannot be ended
            return max(found, 1)
        return max(found, 1)

    def end_strays(self) -> int:
        """SIGKILL every adopted process that belongs to no running attempt. Returns how many there were."""
        if self._children.count() == len(self._attempts) + len(self._killed):
            return 0  # those are children until they are reaped, so there is no other
        found = 0
        for pid in self._children.pids():
            if pid in self._attempts or pid in self._killed or self._belongs(pid):
                continue
            found += 1
            self._killed.add(pid)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        return found

    def end_all(self, limit_s: float) -> None:
        """SIGKILL every child, and theirs, which become ours then: the run is over. Gives up after `limit_s`."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            left = self._children.pids()
            if not left:
                return
            for pid in left:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    continue
            time.sleep(0.002)

    def _belongs(self, pid: int) -> bool:
        stat = read_stat(pid)
        if stat is None or not stat.alive:
            return True  # over already: it is only to be reaped
        if stat.group in self._attempts:
            return True
        mark = mark_of(pid)
        if mark is not None and mark.run_dir == self._run_dir:
            return mark.attempt in self._attempts.values()
        return any(self._started_at(attempt) <= stat.start_ticks for attempt in self._attempts)

    def _started_at(self, pid: int) -> int:
        if pid not in self._start_ticks:
            stat = read_stat(pid)
            self._start_ticks[pid] = stat.start_ticks if stat is not None else 0
        return self._start_ticks[pid]
