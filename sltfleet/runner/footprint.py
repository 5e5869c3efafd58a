"""What memory the host has left, what the attempts use, and how often the kernel has killed for want of memory.

Each reader stands beside the pure parser of what it reads. What a container may use counts as well as what the machine
has left. A value that cannot be read is left out, never guessed.
"""

from __future__ import annotations

import os
from typing import Dict, Iterable, List, Optional, Set, Tuple

from sltfleet.runner.messages import MemoryChecked
from sltfleet.runner.processes import all_pids, is_number
from sltfleet.runner.sampler import cgroup_folders, parse_limit_bytes, parse_meminfo, read_text


def parse_counter(text: str, name: str) -> Optional[int]:
    """Return a line `NAME NUMBER` of /proc/vmstat, memory.events, memory.stat or memory.oom_control."""
    for line in text.splitlines():
        words = line.split()
        if len(words) == 2 and words[0] == name and is_number(words[1]):
            return int(words[1])
    return None


def parse_footprint(text: str) -> Optional[Tuple[int, int]]:
    """Return process group and resident pages of a line of /proc/PID/stat, see proc_pid_stat(5)."""
    fields = text.rpartition(")")[2].split()
    if len(fields) < 22 or not is_number(fields[2]) or not is_number(fields[21]):
        return None
    return int(fields[2]), int(fields[21])


class Footprint:
    """Measures memory. Which cgroups limit this process is looked up once."""

    def __init__(self) -> None:
        self._page_bytes = os.sysconf("SC_PAGE_SIZE")
        #: Of every cgroup with a limit: the limit, and the files that say what is used and what of it can be dropped.
        self._limits: List[Tuple[int, str, str, str]] = []
        for folder in cgroup_folders("memory"):
            for limit, usage, cache in (
                ("memory.max", "memory.current", "inactive_file"),
                ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
            ):
                limit_bytes = parse_limit_bytes(read_text(os.path.join(folder, limit)))
                if limit_bytes is not None:
                    self._limits.append((limit_bytes, os.path.join(folder, usage), folder, cache))
        #: Processes that were looked at and are not ours, until they are gone.
        self._strangers: Set[int] = set()

    def available_bytes(self) -> Optional[int]:
        """Return what can be used without swapping; None where /proc does not tell."""
        available = parse_meminfo(read_text("/proc/meminfo"), "MemAvailable")
        for limit_bytes, usage, folder, cache in self._limits:
            used = read_text(usage).strip()
            if is_number(used) and available is not None:
                droppable = parse_counter(read_text(os.path.join(folder, "memory.stat")), cache) or 0
                available = min(available, max(0, limit_bytes - int(used) + droppable))
        return available

    def check(self, groups: Iterable[int]) -> Optional[MemoryChecked]:
        """Return what is available and what each of these process groups uses; None where /proc does not tell."""
        available = self.available_bytes()
        return None if available is None else MemoryChecked(available, self._used_bytes(set(groups)))

    def _used_bytes(self, groups: Set[int]) -> Dict[int, int]:
        """Resident memory per group. Pages that processes share are counted for each of them."""
        used: Dict[int, int] = {}
        if not groups:
            return used
        try:
            pids = set(all_pids())
        except OSError:  # no descriptor is free on the host at the moment
            return used
        self._strangers &= pids - groups
        for pid in pids - self._strangers:
            found = parse_footprint(read_text(f"/proc/{pid}/stat"))
            if found is None:
                continue
            group, pages = found
            if group in groups:
                used[group] = used.get(group, 0) + pages * self._page_bytes
            else:
                self._strangers.add(pid)
        return used


class OomKills:
    """Tells whether the kernel has just killed for want of memory.

    The count of the own cgroup is asked where there is one (memory.events of v2, memory.oom_control of v1), else that
    of the whole machine. A kill is told once, and forgotten after a while: it was somebody else's.
    """

    def __init__(self) -> None:
        of_cgroups = (
            os.path.join(folder, name)
            for folder in cgroup_folders("memory")
            for name in ("memory.events", "memory.oom_control")
        )
        paths = (path for path in of_cgroups if parse_counter(read_text(path), "oom_kill") is not None)
        self._path = next(paths, "/proc/vmstat")
        self._told = self._before = self._count()

    def take(self) -> bool:
        """Whether there was a kill that has not been told yet."""
        if self._count() <= self._told:
            return False
        self._told += 1
        return True

    def forget(self) -> None:
        """Forget what nobody has asked for since the last time. To be called every few seconds."""
        self._told = max(self._told, self._before)
        self._before = self._count()

    def _count(self) -> int:
        return parse_counter(read_text(self._path), "oom_kill") or 0
