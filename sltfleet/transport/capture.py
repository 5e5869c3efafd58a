"""What a script prints, taken in as it arrives: noise before the sentinel, then capped text and whole lines.

Both transports feed it bytes; it knows nothing of processes or connections.
"""

from __future__ import annotations

import secrets
from collections import deque

from sltfleet.core.errors import HostError
from sltfleet.transport.base import MAX_CAPTURED_BYTES, LineSink

#: Of what start-up files print, so much is kept: the last of it, where an error would stand.
MAX_NOISE_BYTES = 64 * 1024

#: A line that goes on for longer is handed over in pieces: a sink never waits for the memory to fill.
MAX_LINE_BYTES = 8 * 1024 * 1024


def new_sentinel() -> str:
    """Return a mark that nothing printed by chance or by intent can match: it is new for every call."""
    return f"@sltfleet-{secrets.token_hex(16)}@"


class Capture:
    """One output stream of one script."""

    def __init__(self, sentinel: str, on_line: LineSink | None = None, max_bytes: int = MAX_CAPTURED_BYTES) -> None:
        self._mark = f"\n{sentinel}\n".encode()
        self._on_line = on_line
        self._before = bytearray()
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._dropped_bytes = 0
        self._half = max_bytes // 2
        self._line = bytearray()
        #: Whether the sentinel has come, so that the script has begun.
        self.started = False

    def feed(self, data: bytes) -> None:
        """Take in what has arrived."""
        if not self.started:
            self._before += data
            place = self._before.find(self._mark)
            if place < 0:
                del self._before[: -(MAX_NOISE_BYTES + len(self._mark))]
                return
            self.started = True
            data = bytes(self._before[place + len(self._mark) :])
            del self._before[place:]
        self._keep(data)
        if self._on_line:
            self._split(data, self._on_line)

    def finish(self) -> None:
        """Say that the stream has ended: a last line without a newline is handed over."""
        if self._on_line and self._line:
            self._on_line(_text(self._line))
            self._line.clear()

    @property
    def noise(self) -> str:
        """What came before the sentinel (its end, where it was long); all there is where the sentinel never came."""
        return _text(self._before)

    @property
    def text(self) -> str:
        """What came after the sentinel, its middle left out where it was too long."""
        tail = b"".join(self._tail)
        gap = f"\n[{self._dropped_bytes} bytes are left out here]\n".encode() if self._dropped_bytes else b""
        return _text(b"".join((self._head, gap, tail)))

    def _keep(self, data: bytes) -> None:
        room = self._half - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        if not data:
            return
        self._tail.append(data)
        self._tail_bytes += len(data)
        while self._tail_bytes > self._half:
            excess = self._tail_bytes - self._half
            first = self._tail.popleft()
            if len(first) > excess:
                self._tail.appendleft(first[excess:])
            dropped = min(len(first), excess)
            self._tail_bytes -= dropped
            self._dropped_bytes += dropped

    def _split(self, data: bytes, on_line: LineSink) -> None:
        *whole, rest = data.split(b"\n")
        for piece in whole:
            self._line += piece
            on_line(_text(self._line))
            self._line.clear()
        self._line += rest
        while len(self._line) > MAX_LINE_BYTES:
            on_line(_text(self._line[:MAX_LINE_BYTES]))
            del self._line[:MAX_LINE_BYTES]


def never_began(host: str, exit_code: int, stdout: Capture, stderr: Capture, fix: str) -> HostError:
    """Return the error for a shell that ended before the sentinel came, with what it printed and how to look at it."""
    printed = "\n".join(text for text in (stdout.noise.strip(), stderr.noise.strip()) if text)
    why = f"it ended with exit code {exit_code}" + ("" if printed else " and printed nothing")
    return HostError("the shell did not begin the script", why, fix, host, detail=printed)


def _text(data: bytes | bytearray) -> str:
    return data.decode("utf-8", "surrogateescape")
