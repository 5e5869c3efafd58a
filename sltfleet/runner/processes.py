"""Processes, as /proc tells of them: who a process is, whether it still lives, which attempt it belongs to.

A pid alone is never enough: it may belong to a stranger by now. So a runner is known by boot id, pid and start ticks
(`Identity`), and whatever an attempt starts by the environment variables MARK and FOLDER_MARK, which children inherit.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import AbstractSet, Iterator, List, Optional, Sequence, Set

from sltfleet.wire.state import Identity

#: Set for every attempt, to `RUN_ID:ATTEMPT`.
MARK = "SLTFLEET_ATTEMPT"

#: Set for every attempt, to the run's folder: one machine may serve as several hosts of the same run.
FOLDER_MARK = "SLTFLEET_RUN_DIR"


#: The kernel fills a piece as far as another number, with a space this long at most, has room in it.
_PIECE_BYTES = 4096
_LONGEST_BYTES = 12


@dataclass(frozen=True)
class ProcessStat:
    """What /proc/PID/stat says, see proc_pid_stat(5)."""

    pid: int
    state: str
    parent: int
    group: int
    start_ticks: int

    @property
    def alive(self) -> bool:
        """A zombie is over: it only waits to be reaped."""
        return self.state not in "ZXx"


def is_number(text: str) -> bool:
    """Whether `int` takes it without a surprise: `str.isdigit` also says yes to a superscript two."""
    return text.isascii() and text.isdigit() and len(text) < 40


def parse_stat(text: str) -> Optional[ProcessStat]:
    """Return what a line of /proc/PID/stat says. The name in parentheses may hold anything, parentheses included."""
    head, _, rest = text.rpartition(")")
    fields = rest.split()
    pid = head.split(" ", 1)[0]
    if not is_number(pid) or len(fields) < 20:
        return None
    try:
        return ProcessStat(int(pid), fields[0], int(fields[1]), int(fields[2]), int(fields[19]))
    except ValueError:
        return None


def read_stat(pid: int) -> Optional[ProcessStat]:
    """Return what the kernel says of a process, None where there is none."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return parse_stat(file.read())
    except OSError:
        return None


def boot_id() -> str:
    """Return the id of this boot of the host."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def own_identity() -> Identity:
    """Return who this process is."""
    stat = read_stat(os.getpid())
    if stat is None:
        raise OSError("/proc/self/stat cannot be read: is /proc mounted?")
    return Identity(boot_id(), stat.pid, stat.start_ticks)


def is_alive(identity: Identity) -> bool:
    """Whether that very process lives, not only one of its number."""
    if identity.boot_id != boot_id():
        return False
    stat = read_stat(identity.pid)
    return stat is not None and stat.start_ticks == identity.start_ticks and stat.alive


@dataclass(frozen=True)
class Mark:
    """To which run's folder and which attempt a process belongs."""

    run_dir: str
    attempt: int


def parse_mark(environ: bytes) -> Optional[Mark]:
    """Return the mark in the content of /proc/PID/environ, None where there is none."""
    names = (MARK.encode("ascii") + b"=", FOLDER_MARK.encode("ascii") + b"=")
    found = {name: entry[len(name) :] for entry in environ.split(b"\0") for name in names if entry.startswith(name)}
    number = found.get(names[0], b"").rpartition(b":")[2]
    if len(found) != 2 or not number.isdigit() or len(number) > 18:
        return None
    return Mark(os.fsdecode(found[names[1]]), int(number))


def mark_of(pid: int) -> Optional[Mark]:
    """Return the mark in the environment that the process was started with, None where there is none."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return parse_mark(file.read())
    except OSError:
        return None


def all_pids() -> Iterator[int]:
    """Yield the numbers of all processes."""
    for name in os.listdir("/proc"):
        if is_number(name):
            yield int(name)


def our_processes() -> Iterator[ProcessStat]:
    """Yield the living processes of this user, without this one."""
    for pid in all_pids():
        try:
            ours = pid != os.getpid() and os.stat(f"/proc/{pid}").st_uid == os.geteuid()
        except OSError:
            continue
        stat = read_stat(pid) if ours else None
        if stat is not None and stat.alive:
            yield stat


def marked(run_dir: str) -> List[int]:
    """Return our living processes that bear the mark of the run in that folder."""
    return [stat.pid for stat in our_processes() if bears_mark(stat.pid, run_dir)]


def bears_mark(pid: int, run_dir: str) -> bool:
    """Whether the process has the mark of the run in that folder."""
    mark = mark_of(pid)
    return mark is not None and mark.run_dir == run_dir


def left_of(run_dir: str) -> List[ProcessStat]:
    """Return our living processes that belong to an attempt of the run in that folder."""
    stats = list(our_processes())
    return belonging(stats, {stat.pid for stat in stats if bears_mark(stat.pid, run_dir)})


def belonging(stats: Sequence[ProcessStat], marked_pids: AbstractSet[int]) -> List[ProcessStat]:
    """Return those that bear the mark, and those that wiped it and are still in the process group of an attempt.

    A group is an attempt's when its leader bears the mark, or one of its members where the leader is gone. A person may
    start something that bears the mark from a shell of theirs: the shell does not, and leads.
    """
    alive = {stat.pid for stat in stats}
    groups = {
        stat.group
        for stat in stats
        if stat.pid in marked_pids and (stat.group in marked_pids or stat.group not in alive)
    }
    return [stat for stat in stats if stat.pid in marked_pids or stat.group in groups]


def marked_runs() -> Set[str]:
    """Return the folders of the runs to whose attempts living processes belong."""
    marks = (mark_of(pid) for pid in all_pids() if pid != os.getpid())  # a zombie has no environment any more
    return {mark.run_dir for mark in marks if mark is not None}


def signal_attempt(pid: int, number: int) -> None:
    """Signal an attempt's process group, and its main process also where that has left the group.

    The main process is not reaped yet, so its pid is still its own. It may join another group of the runner's session;
    a session of its own would forbid that, but takes it out of the runner's scheduling group, and with it niceness its
    meaning (sched(7), "The autogroup feature").
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.getpgid(pid) != pid:
            os.kill(pid, number)


class Children:
    """The children of this (single-threaded) process, zombies and adopted orphans included.

    The kernel's list stays open: it is asked after every attempt.
    """

    def __init__(self) -> None:
        self._own = os.getpid()
        try:
            self._fd = os.open(f"/proc/self/task/{self._own}/children", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # a kernel without CONFIG_PROC_CHILDREN
            self._fd = -1

    def count(self) -> int:
        """Return how many there are."""
        return len(self.pids()) if self._fd < 0 else self._read().count(b" ")

    def pids(self) -> List[int]:
        """Return their numbers."""
        if self._fd >= 0:
            return [int(word) for word in self._read().split()]
        stats = (read_stat(pid) for pid in all_pids())
        return [stat.pid for stat in stats if stat is not None and stat.parent == self._own]

    def _read(self) -> bytes:
        """The kernel's text: each number with a space behind it, see proc_tid_children(5)."""
        text = part = os.pread(self._fd, _PIECE_BYTES, 0)
        while len(part) > _PIECE_BYTES - _LONGEST_BYTES:  # there was no room for another one
            part = os.pread(self._fd, _PIECE_BYTES, len(text))
            text += part
        return text
