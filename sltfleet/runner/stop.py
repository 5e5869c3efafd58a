"""The command `stop`: asks the runner to end its run, waits, and ends by force what does not go.

Only a process whose identity matches is ever signalled; attempts of a runner that is gone are known by their mark.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from typing import List, Optional, Tuple

from sltfleet.runner import linux
from sltfleet.runner.files import tail
from sltfleet.runner.locks import is_locked
from sltfleet.runner.paths import RunPaths
from sltfleet.runner.processes import boot_id, is_alive, left_of, marked_runs
from sltfleet.runner.statefile import said_goodbye
from sltfleet.wire.handshake import Stopped
from sltfleet.wire.state import Identity, identity_from_line

#: So long attempts that were sent SIGKILL may take to go.
KILL_LIMIT_S = 5.0

_POLL_S = 0.02


def stop(run_dir: str, timeout_s: float) -> Stopped:
    """End the run whose folder is `run_dir`; its runner may take `timeout_s` to say goodbye."""
    paths = RunPaths(run_dir)
    run_id = os.path.basename(paths.root)
    identity = identity_from_line(tail(paths.identity, 4096))
    was_running = identity is not None and _end_runner(identity, timeout_s)
    return Stopped(run_id, was_running, tuple(end_attempts(paths.root)))


class _Process:
    """A process that cannot be mistaken for another: by a pidfd where there is one, else by looking each time."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        # First the descriptor, then the look: if it is the right process now, the descriptor stands for it for ever.
        self._pidfd = linux.open_pidfd(identity.pid)
        self.alive = is_alive(identity)

    def send(self, number: int) -> None:
        sender = getattr(signal, "pidfd_send_signal", None)
        try:
            if not self.alive:
                return
            if self._pidfd is not None and sender is not None:
                sender(self._pidfd, number)
            elif is_alive(self._identity):
                os.kill(self._identity.pid, number)
        except ProcessLookupError:
            self.alive = False

    def wait(self, timeout_s: float) -> bool:
        """Whether it is gone within so many seconds."""
        deadline = time.monotonic() + timeout_s
        while self.alive:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            if self._pidfd is not None:
                poller = select.poll()
                poller.register(self._pidfd, select.POLLIN)
                poller.poll(min(left_s, 1.0) * 1000)
            else:
                time.sleep(min(left_s, _POLL_S))
            self.alive = is_alive(self._identity)
        return True

    def close(self) -> None:
        if self._pidfd is not None:
            os.close(self._pidfd)


def _end_runner(identity: Identity, timeout_s: float) -> bool:
    """End the runner. Returns whether it was running."""
    process = _Process(identity)
    try:
        if not process.alive:
            return False
        process.send(signal.SIGTERM)
        process.send(signal.SIGCONT)  # one that was stopped must go on to say goodbye
        if not process.wait(timeout_s):
            process.send(signal.SIGKILL)
            process.wait(KILL_LIMIT_S)
        return True
    finally:
        process.close()


def end_lost_attempts(run_dir: str) -> Tuple[str, ...]:
    """SIGKILL the attempts of the project's other runs whose runner is gone and never said goodbye; return notes.

    Only the project's active runner, of the run in `run_dir`, may do it: no other run is active then. In the folder of
    a run that said goodbye there is only what `repro` runs; it also runs attempts of lost runs, and ends with its own
    what is left of theirs.
    """
    notes: Tuple[str, ...] = ()
    for other in sorted(marked_runs() - {run_dir}):
        if os.path.dirname(other) == os.path.dirname(run_dir) and not _is_to_be_spared(RunPaths(other)):
            left = end_attempts(other)
            stuck = f"; these do not die: {', '.join(map(str, left))}" if left else ""
            notes += (f"attempts of run {os.path.basename(other)}, whose runner was lost, were ended{stuck}",)
    return notes


def _is_to_be_spared(paths: RunPaths) -> bool:
    """Whether the run came to its end, or `repro` answers for what runs in its folder."""
    if said_goodbye(paths):
        return True
    try:
        return is_locked(paths.repro_lock)
    except FileNotFoundError:  # the folder was removed, its processes live on
        return False


def end_attempts(run_dir: str) -> List[int]:
    """SIGKILL whatever belongs to an attempt of the run in that folder. Returns what could not be ended in time."""
    boot = boot_id()
    deadline: Optional[float] = None
    while True:
        left = left_of(run_dir)
        if not left:
            return []
        if deadline is None:
            deadline = time.monotonic() + KILL_LIMIT_S
        elif time.monotonic() > deadline:
            return [stat.pid for stat in left]
        for stat in left:
            process = _Process(Identity(boot, stat.pid, stat.start_ticks))
            with contextlib.suppress(PermissionError):  # it changed its user: told as one that is left
                process.send(signal.SIGKILL)
            process.close()
        time.sleep(_POLL_S)
