"""The files that running attempts print into, kept small while they grow.

stdout and stderr of an attempt are one regular file, opened for appending: a noisy test is never blocked, and the
runner reads nothing while it runs. What grows beyond twice the limit loses its middle: a hole is punched where the
filesystem can do that, otherwise the tail is saved and the file cut. In the end the first and the last half of the
limit remain, and a line between them says how much is missing.
"""

from __future__ import annotations

import contextlib
import os
from typing import Dict, List, Optional, Tuple

from sltfleet.runner import linux
from sltfleet.runner.files import FILE_MODE, read_up_to, remove_file, write_all

_BLOCK_BYTES = 64 * 1024


def left_out_line(count: int) -> bytes:
    """Return the line that stands for `count` bytes that were not kept."""
    return b"\n[sltfleet: %d bytes left out here]\n" % count


class GrowingOutput:
    """One attempt's output file. `punch` is linux.punch_hole; tests put their own in its place."""

    def __init__(self, path: str, limit_bytes: int, punch: Optional[bool] = None) -> None:
        self.path = path
        self._half_bytes = max(1, limit_bytes // 2)
        self._can_punch = True if punch is None else punch
        #: Everything between the first half and this offset is a hole.
        self._hole_end = 0
        #: Bytes that were cut out by truncation, and the tail that was saved before that.
        self._cut_bytes = 0
        self._saved_tail = b""

    def size(self) -> int:
        """Return how much the attempt printed so far."""
        try:
            return os.stat(self.path).st_size + self._cut_bytes
        except OSError:
            return 0

    def trim(self) -> None:
        """Give back the middle where the file has grown beyond twice the limit. Raises OSError."""
        if self.size() - self._cut_bytes - max(0, self._hole_end - self._half_bytes) <= 4 * self._half_bytes:
            return
        fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            size = os.fstat(fd).st_size
            start = max(self._half_bytes, self._hole_end)
            start += -start % _BLOCK_BYTES
            end = size - self._half_bytes
            end -= end % _BLOCK_BYTES
            if self._can_punch and end > start:
                self._can_punch = linux.punch_hole(fd, start, end - start)
                if self._can_punch:
                    self._hole_end = end
            if not self._can_punch and not self._hole_end:
                tail = os.pread(fd, self._half_bytes, max(self._half_bytes, size - self._half_bytes))
                os.ftruncate(fd, self._half_bytes)
                self._saved_tail = (self._saved_tail + tail)[-self._half_bytes :]
                self._cut_bytes += size - self._half_bytes
        finally:
            os.close(fd)

    def kept(self) -> Tuple[bytes, bool]:
        """Return what is kept of the output (all of it where it is small), and whether something is missing."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return b"", False
        try:
            size = os.fstat(fd).st_size
            if size <= 2 * self._half_bytes and not self._cut_bytes:
                return read_up_to(fd, size), False
            head = read_up_to(fd, self._half_bytes)
            rest = max(self._half_bytes, size - self._half_bytes)
            tail = (self._saved_tail + read_up_to(fd, self._half_bytes, rest))[-self._half_bytes :]
        finally:
            os.close(fd)
        missing = size + self._cut_bytes - len(head) - len(tail)
        return head + (left_out_line(missing) if missing else b"") + tail, missing > 0

    def is_whole(self) -> bool:
        """Whether the file as it is can be kept."""
        return self.size() <= 2 * self._half_bytes and not self._cut_bytes


class Outputs:
    """The output file of every worker's slot."""

    def __init__(self, folder: str, limit_bytes: int) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._files: Dict[int, GrowingOutput] = {}
        self._sizes: Dict[int, int] = {}
        self._sequence = 0

    def path(self, worker: int) -> str:
        """Return the file for the worker's next attempt: a new one, or the last one where that stayed empty."""
        if worker not in self._files:
            self._sequence += 1
            name = os.path.join(self._folder, f"{worker}.{self._sequence}.out")
            self._files[worker] = GrowingOutput(name, self._limit_bytes)
            self._sizes[worker] = 0
        return self._files[worker].path

    def current(self, worker: int) -> Optional[GrowingOutput]:
        """Return the output of the worker's attempt."""
        return self._files.get(worker)

    def take(self, worker: int, reusable: bool) -> Optional[GrowingOutput]:
        """Return the output of an attempt that is over, None where it printed nothing.

        The next attempt gets another file unless this one is empty and `reusable`: no survivor may write into it.
        """
        output = self._files.get(worker)
        if output is None:
            return None
        if reusable and output.size() == 0:
            return None
        del self._files[worker]
        return output

    def clear(self) -> None:
        """Remove what no attempt will use any more."""
        for output in self._files.values():
            with contextlib.suppress(OSError):
                remove_file(output.path)
        self._files.clear()

    def watch(self) -> Tuple[int, List[str]]:
        """Trim what has grown too large. Returns the largest growth since the last look, and what went wrong."""
        fastest = 0
        problems: List[str] = []
        for worker, output in self._files.items():
            size = output.size()
            fastest = max(fastest, size - self._sizes[worker])
            self._sizes[worker] = size
            if size > self._limit_bytes:
                try:
                    output.trim()
                except OSError as error:
                    problems.append(f"the output of worker {worker} cannot be trimmed: {error.strerror}")
        return fastest, problems


def store(output: GrowingOutput, path: str) -> Tuple[int, bool]:
    """Move what is kept of an output to `path`. Returns the bytes that it takes, and whether something is missing."""
    if output.is_whole():
        size = output.size()
        os.replace(output.path, path)
        return size, False
    data, truncated = output.kept()
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
    try:
        write_all(fd, data)
    finally:
        os.close(fd)
    remove_file(output.path)
    return len(data), truncated
