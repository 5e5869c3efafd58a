"""Runs rsync and ends it: a group of its own, never longer than allowed, never after the caller has gone.

Its command and the meaning of what it prints are `core.rsync`'s.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO

from sltfleet.core.errors import CommandTimeout, SyncError
from sltfleet.core.rsync import Progress, RsyncReader, rsync_environment
from sltfleet.core.rsync_failures import no_rsync_here
from sltfleet.core.shell import join
from sltfleet.transport.children import end_at_exit

#: rsync itself notices a connection that stands still, but not a remote shell that does not end when all is done. It
#: says nothing while it compares what is there, which takes this long for hundreds of gigabytes.
SILENT_LIMIT_S = 1800.0

#: How soon a stop is noticed.
_LOOK_S = 0.1
#: From SIGTERM to SIGKILL: rsync removes the file that it was writing. Less than what a fleet waits for on Ctrl-C.
_GRACE_S = 1.0
#: Of standard error the end is kept.
_MAX_STDERR_BYTES = 256 * 1024


@dataclass(frozen=True)
class RsyncResult:
    """How rsync ended (a negative `exit_code` is a signal), what was read of it, and the end of its standard error."""

    exit_code: int
    reader: RsyncReader
    stderr: str
    duration_s: float


def run_rsync(
    argv: Sequence[str],
    *,
    timeout_s: float,
    stop: threading.Event,
    on_progress: Callable[[Progress], None],
    silent_limit_s: float = SILENT_LIMIT_S,
) -> RsyncResult:
    """Run rsync to its end. `stop`, set by another thread, ends it within moments.

    Raises CommandTimeout when `timeout_s` is over or nothing was printed for `silent_limit_s`, and SyncError where it
    was stopped or rsync is not installed.
    """
    started_s = time.monotonic()
    try:
        child = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=rsync_environment(os.environ),
            start_new_session=True,  # its ssh belongs to the group, and no terminal asks for a password
        )
    except FileNotFoundError as error:
        raise no_rsync_here() from error
    end_at_exit(child)
    with child:
        try:
            reader, stderr = _attend(child, started_s + timeout_s, silent_limit_s, stop, on_progress)
            exit_code = child.wait(max(0.0, started_s + timeout_s - time.monotonic()))
        except subprocess.TimeoutExpired as error:
            raise _timed_out(timeout_s, argv) from error
        except _DeadlinePassed as error:
            raise _timed_out(timeout_s, argv) from error
        except _FellSilent as error:
            raise _fell_silent(silent_limit_s, argv) from error
        finally:
            _end(child)
    return RsyncResult(exit_code, reader, stderr, time.monotonic() - started_s)


class _DeadlinePassed(Exception):
    """The time is over."""


class _FellSilent(Exception):
    """Nothing was printed for too long."""


def _fell_silent(silent_limit_s: float, argv: Sequence[str]) -> CommandTimeout:
    return CommandTimeout(
        "rsync does not come to its end",
        f"it was ended after {silent_limit_s:.0f} s without a word",
        "try it again; if `ssh HOST true` does not end either, the login shell there waits for something",
        command=join(argv),
    )


def _timed_out(timeout_s: float, argv: Sequence[str]) -> CommandTimeout:
    why, fix = f"it was ended after {timeout_s:.0f} s", "type the same again: what has arrived is not sent again"
    return CommandTimeout("rsync did not end in time", why, fix, command=join(argv))


def _attend(
    child: subprocess.Popen[bytes],
    deadline_s: float,
    silent_limit_s: float,
    stop: threading.Event,
    on_progress: Callable[[Progress], None],
) -> tuple[RsyncReader, str]:
    """Read both streams until they end."""
    assert child.stdout is not None
    assert child.stderr is not None
    reader = RsyncReader()
    errors = bytearray()
    half = b""
    heard_s = time.monotonic()
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        selector.register(child.stderr, selectors.EVENT_READ)
        while selector.get_map():
            if stop.is_set():
                raise SyncError("the sync was interrupted", fix="run `sltfleet sync` again")
            if time.monotonic() > deadline_s:
                raise _DeadlinePassed
            if time.monotonic() > heard_s + silent_limit_s:
                raise _FellSilent
            for key, _events in selector.select(_LOOK_S):
                stream: IO[bytes] = key.fileobj  # type: ignore[assignment]
                data = os.read(stream.fileno(), 65536)
                heard_s = time.monotonic()
                if not data:
                    selector.unregister(stream)
                elif stream is child.stderr:
                    errors += data
                    del errors[:-_MAX_STDERR_BYTES]
                else:
                    # A piece may end inside a character; lines never do.
                    whole, mark, half = _cut(half + data)
                    progress = reader.feed(os.fsdecode(whole + mark))
                    if progress is not None:
                        on_progress(progress)
    reader.feed(os.fsdecode(half) + "\n")
    return reader, errors.decode("utf-8", "replace")


def _cut(data: bytes) -> tuple[bytes, bytes, bytes]:
    place = max(data.rfind(b"\n"), data.rfind(b"\r"))
    return (data[:place], data[place : place + 1], data[place + 1 :]) if place >= 0 else (b"", b"", data)


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the whole group where it was not waited for: SIGTERM, then SIGKILL for whatever is left of it."""
    if child.returncode is not None:
        return
    os.killpg(child.pid, signal.SIGTERM)
    deadline_s = time.monotonic() + _GRACE_S
    # As long as the leader is not reaped, the group's number is nobody else's.
    while (
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None and time.monotonic() < deadline_s
    ):
        time.sleep(_LOOK_S / 10)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
