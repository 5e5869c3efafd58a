"""Reads a journal that was fetched from a host, piece by piece, without trusting it.

A torn last line is left for later. A complete line that is no event ends the reading: what stands before is kept, and
`Damage` says at which byte it ended. Lengths, counts and numbers beyond anything a runner writes are damage as well.
What the events mean is `core.timeline`'s and `results.store`'s.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sltfleet.core.errors import RunError
from sltfleet.wire.codec import DecodeError
from sltfleet.wire.events import AttemptFinished, Event, RunStarted, event_from_line
from sltfleet.wire.format import FormatError
from sltfleet.wire.outcome import OUTCOMES

#: The longest line is `run-started` with the ids of all units, or an attempt with tens of thousands of cases.
MAX_LINE_BYTES = 32 * 1024 * 1024

#: So much of what was read last tells that a journal is still the same: a few lines, each with its own time.
FINGERPRINT_BYTES = 4096

#: So many events are read at a time: the memory of an import does not grow with the journal.
CHUNK_EVENTS = 20_000

#: So much is read at a time, the last line to its end.
CHUNK_BYTES = 32 * 1024 * 1024

#: More than this no run has: workers, and seconds on its clock (three years).
MAX_WORKERS = 65_536
MAX_SECONDS = 1e8

#: Linux gives no larger pid (proc_sys_kernel(5), `pid_max`), so an attempt cannot have left more processes behind.
MAX_PROCESSES = 2**22


@dataclass(frozen=True)
class Damage:
    """The journal cannot be read beyond byte `offset`."""

    offset: int
    problem: str

    def __str__(self) -> str:
        return f"the journal cannot be read beyond byte {self.offset}: {self.problem}"


@dataclass(frozen=True)
class Piece:
    """Some events, and the byte after the last of them. `more` is set while there is more to read."""

    events: tuple[Event, ...]
    next_offset: int
    more: bool
    damage: Damage | None = None


def read_piece(path: Path, offset: int, *, max_events: int = CHUNK_EVENTS) -> Piece:
    """Return at most `max_events` events from byte `offset` on. Raises RunError where the file cannot be read."""
    events: list[Event] = []
    read_bytes = 0
    try:
        with _open(path) as file:
            file.seek(offset)
            while len(events) < max_events and read_bytes < CHUNK_BYTES:
                line = file.readline(MAX_LINE_BYTES + 1)
                if not line.endswith(b"\n"):
                    too_long = len(line) > MAX_LINE_BYTES
                    damage = Damage(offset, f"a line is longer than {MAX_LINE_BYTES} bytes") if too_long else None
                    return Piece(tuple(events), offset, False, damage)
                try:
                    event = checked_event(line, first=offset == 0)
                except (DecodeError, FormatError) as error:
                    return Piece(tuple(events), offset, False, Damage(offset, str(error)))
                events.append(event)
                offset += len(line)
                read_bytes += len(line)
    except OSError as error:
        raise RunError(
            "cannot read a journal", f"{path}: {error.strerror or error}", "`sltfleet fetch` again"
        ) from error
    return Piece(tuple(events), offset, True)


def fingerprint(path: Path, offset: int) -> bytes:
    """Return what tells whether a journal that was read up to `offset` is still the same, b"" where it has no whole
    first line yet: a digest of that line and of what stands right before `offset`.

    The first line alone would not do: a host that crashes may lose the end of a journal that was fetched before, and
    the run goes on with other lines in its place. Raises RunError.
    """
    try:
        with _open(path) as file:
            line = file.readline(MAX_LINE_BYTES + 1)
            if not line.endswith(b"\n"):
                return b""
            start = max(0, offset - FINGERPRINT_BYTES)
            file.seek(start)
            return hashlib.sha256(line + file.read(offset - start)).digest()
    except OSError as error:
        raise RunError(
            "cannot read a journal", f"{path}: {error.strerror or error}", "`sltfleet fetch` again"
        ) from error


def checked_event(line: bytes, *, first: bool) -> Event:
    """Return the event of a line. Raises DecodeError and FormatError, also for numbers that no runner writes."""
    event = event_from_line(line)
    if isinstance(event, RunStarted) != first:
        raise DecodeError("line", "the first line, and no other, is run-started")
    if not 0 <= event.t <= MAX_SECONDS:
        raise DecodeError("t", f"{event.t} is no time on the run's clock")
    if isinstance(event, AttemptFinished):
        _check_finished(event)
    if isinstance(event, RunStarted):
        _check_started(event)
    return event


def _check_finished(event: AttemptFinished) -> None:
    if event.outcome not in OUTCOMES:
        raise DecodeError("outcome", f"{event.outcome!r} is none of {', '.join(OUTCOMES)}")
    used = event.rusage
    if not all(0 <= seconds <= MAX_SECONDS for seconds in (event.duration_s, used.user_s, used.system_s)):
        raise DecodeError("duration_s", "is no duration")
    if not 0 <= event.survivors <= MAX_PROCESSES:
        raise DecodeError("survivors", f"{event.survivors} is no number of processes")


def _check_started(event: RunStarted) -> None:
    if not 1 <= event.workers <= MAX_WORKERS:
        raise DecodeError("workers", f"{event.workers} is not from 1 to {MAX_WORKERS}")
    if not 0 < event.budget_s <= MAX_SECONDS or not 0 <= event.cores <= MAX_WORKERS:
        raise DecodeError("budget_s", "budget or cores are out of range")
    if not 0 <= (event.share_units or 0) <= len(event.units):
        raise DecodeError("share_units", f"{event.share_units} is no part of {len(event.units)} units")


def _open(path: Path) -> IO[bytes]:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "is no regular file")
    return os.fdopen(descriptor, "rb")
