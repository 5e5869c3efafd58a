"""What the host can give and what it uses at the moment: cores, CPU, memory, and the runner's own share.

Each reader stands beside the pure parser of what it reads. A container's limits (cgroup v2 and v1) count as well as
the machine's. A value that cannot be read is left out, never guessed.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Dict, Iterator, Optional, Tuple

from sltfleet.runner.messages import SampleTaken
from sltfleet.runner.processes import is_number

#: cgroup v1 writes "no limit" as a number near 2**63.
_NO_LIMIT_BYTES = 1 << 60


@dataclass(frozen=True)
class CpuTimes:
    """Ticks since boot, summed over all cores."""

    busy: int
    total: int


def parse_cpu_times(text: str) -> Optional[CpuTimes]:
    """Return the first line of /proc/stat. Idle, iowait and steal are not busy; guest time is part of user time."""
    fields = text.split("\n", 1)[0].split()
    if len(fields) < 5 or fields[0] != "cpu" or not all(is_number(field) for field in fields[1:]):
        return None
    ticks = [int(field) for field in fields[1:9]]
    ticks += [0] * (8 - len(ticks))
    total = sum(ticks)
    return CpuTimes(busy=total - ticks[3] - ticks[4] - ticks[7], total=total)


def parse_meminfo(text: str, name: str) -> Optional[int]:
    """Return a size in /proc/meminfo in bytes, None where it is not told. Asked several times a second."""
    _, _, rest = f"\n{text}".partition(f"\n{name}:")
    words = rest.split("\n", 1)[0].split()
    if not words or not is_number(words[0]):
        return None
    return int(words[0]) * (1024 if words[1:] == ["kB"] else 1)


def parse_cgroups(text: str) -> Dict[str, str]:
    """Return the cgroup paths of /proc/self/cgroup by controller; v2's stands under the empty name."""
    paths: Dict[str, str] = {}
    for line in text.splitlines():
        parts = line.split(":", 2)
        if len(parts) == 3:
            for controller in parts[1].split(","):
                paths[controller] = parts[2]
    return paths


def parse_cpu_max(text: str) -> Optional[float]:
    """Return the cores that cgroup v2's cpu.max allows, None for no limit."""
    words = text.split()
    if len(words) != 2 or not is_number(words[0]) or not is_number(words[1]) or int(words[1]) == 0:
        return None
    return int(words[0]) / int(words[1])


def parse_limit_bytes(text: str) -> Optional[int]:
    """Return what memory.max (v2) or memory.limit_in_bytes (v1) allows, None for no limit."""
    text = text.strip()
    if not is_number(text) or int(text) >= _NO_LIMIT_BYTES:
        return None
    return int(text)


def cores() -> float:
    """Return how many cores this process may use: its affinity, and every cgroup's quota above it."""
    limits = [float(len(os.sched_getaffinity(0)))]
    for folder in cgroup_folders("cpu"):
        quota = parse_cpu_max(read_text(os.path.join(folder, "cpu.max")))
        if quota is None:
            v1 = [read_text(os.path.join(folder, "cpu.cfs_" + name)).strip() for name in ("quota_us", "period_us")]
            quota = parse_cpu_max(" ".join(v1))
        if quota is not None:
            limits.append(quota)
    return min(limits)


def memory_bytes() -> int:
    """Return the memory that this process may use: the machine's, or less where a cgroup says so. 0: unknown."""
    limits = [parse_meminfo(read_text("/proc/meminfo"), "MemTotal") or 0]
    for folder in cgroup_folders("memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            limit = parse_limit_bytes(read_text(os.path.join(folder, name)))
            if limit is not None:
                limits.append(limit)
    return min(limits)


class Sampler:
    """Takes samples; the CPU's is the mean since the one before."""

    def __init__(self, runner_cpu_s: float = 0.0) -> None:
        """`runner_cpu_s`: what earlier runners of the same run have used."""
        self._runner_cpu_s = runner_cpu_s
        self._before: Optional[CpuTimes] = parse_cpu_times(read_text("/proc/stat"))
        self._page_bytes = os.sysconf("SC_PAGE_SIZE")

    def take(self) -> Optional[SampleTaken]:
        """Return a sample, None where /proc does not tell."""
        times = parse_cpu_times(read_text("/proc/stat"))
        before, self._before = self._before, times
        available = parse_meminfo(read_text("/proc/meminfo"), "MemAvailable")
        if times is None or before is None or available is None:
            return None
        span = times.total - before.total
        statm = read_text("/proc/self/statm").split()
        return SampleTaken(
            cpu_percent=round(100.0 * max(0, times.busy - before.busy) / span, 2) if span > 0 else 0.0,
            memory_available_bytes=available,
            runner_rss_bytes=int(statm[1]) * self._page_bytes if len(statm) > 1 else 0,
            runner_cpu_s=round(self._runner_cpu_s + time.process_time(), 4),
        )


def cgroup_folders(controller: str) -> Iterator[str]:
    """Yield the folders of this process' cgroup and all above it, for v2 and for a controller of v1."""
    paths = parse_cgroups(read_text("/proc/self/cgroup"))
    roots: Tuple[Tuple[str, str], ...] = (
        ("/sys/fs/cgroup", paths.get("", "/")),
        (f"/sys/fs/cgroup/{controller}", paths.get(controller, "/")),
    )
    for root, path in roots:
        parts = [part for part in path.split("/") if part and part != ".."]
        for depth in range(len(parts), -1, -1):
            yield os.path.join(root, *parts[:depth])


def read_text(path: str) -> str:
    """Return what a file of the kernel says, "" where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
