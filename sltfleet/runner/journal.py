"""Appends events to the journal, and survives a disk that is full.

Lines wait in memory until they are written, all of them with one write per turn of the event loop. A write that fails
leaves them waiting; a write that was cut short is finished before anything else, so that no torn line ever stands
in the middle of the file. What waits is bounded: beyond it samples go first, then the newest lines, and a note says how
many were lost.
"""

from __future__ import annotations

import os
from collections import deque
from typing import Callable, Deque, Tuple

from sltfleet.runner.files import FILE_MODE
from sltfleet.wire.events import Event, Note, Sample, event_to_line

MAX_WAITING_BYTES = 64 * 1024 * 1024

#: Of the waiting lines so many are joined for one write.
MAX_WRITE_BYTES = 8 * 1024 * 1024


class Journal:
    """An append-only file of events. `write` is os.write, bound to the file; tests put their own in its place."""

    def __init__(self, write: Callable[[bytes], int], max_waiting_bytes: int = MAX_WAITING_BYTES) -> None:
        self._write = write
        self._max_waiting_bytes = max_waiting_bytes
        #: The rest of a line that was written in part.
        self._torn = b""
        #: Whole lines, and whether each is a sample.
        self._waiting: Deque[Tuple[bool, bytes]] = deque()
        self._waiting_bytes = 0
        self._lost = 0
        #: Why nothing can be written at the moment, "" where all is well.
        self.trouble = ""

    @classmethod
    def at(cls, path: str) -> "Journal":
        """Open the journal at `path`. Raises OSError."""
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
        return cls(lambda data: os.write(fd, data))

    @property
    def empty(self) -> bool:
        """Whether everything has been written."""
        return not self._waiting and not self._torn

    def add(self, event: Event) -> None:
        """Let an event wait for the next flush."""
        if self._lost and self.empty:
            lost, self._lost = self._lost, 0
            self.add(
                Note(t=event.t, text=f"{lost} journal lines were lost: too many waited for a disk that took nothing")
            )
        line = event_to_line(event)
        self._waiting.append((isinstance(event, Sample), line))
        self._waiting_bytes += len(line)
        if self._waiting_bytes > self._max_waiting_bytes:
            self._shed()

    def flush(self) -> bool:
        """Write what waits, as far as possible. Returns whether nothing waits any more."""
        while not self.empty:
            data = self._next_write()
            try:
                written = self._write(data)
            except OSError as error:
                self.trouble = f"the journal cannot be written: {error.strerror or error}"
                return False
            self._written(written)
        self.trouble = ""
        return True

    def _next_write(self) -> bytes:
        parts = [self._torn]
        size = len(self._torn)
        for _, line in self._waiting:
            if size and size + len(line) > MAX_WRITE_BYTES:
                break
            parts.append(line)
            size += len(line)
        return b"".join(parts)

    def _written(self, count: int) -> None:
        torn = min(count, len(self._torn))
        self._torn = self._torn[torn:]
        count -= torn
        while count > 0:
            _, line = self._waiting.popleft()
            self._waiting_bytes -= len(line)
            self._torn = line[count:]
            count -= len(line)

    def _shed(self) -> None:
        kept = deque(entry for entry in self._waiting if not entry[0])
        self._lost += len(self._waiting) - len(kept)
        size = sum(len(line) for _, line in kept)
        while kept and size > self._max_waiting_bytes:
            size -= len(kept.pop()[1])
            self._lost += 1
        self._waiting, self._waiting_bytes = kept, size
