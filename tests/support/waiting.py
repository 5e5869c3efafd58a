"""Waiting for something real: a condition is polled with a deadline, which no machine should ever need."""

from __future__ import annotations

import time
from collections.abc import Callable

from sltfleet.runner.processes import read_stat

#: Nothing in the tests takes longer than this, on however slow a machine; where all is well it costs nothing.
PATIENCE_S = 120.0


def wait_for(holds: Callable[[], object], what: str = "", within_s: float = PATIENCE_S) -> None:
    """Return once the callable `holds` gives a true value; fail with `what` it was when it does not in time.

    A file that is not there yet is one more thing to wait for: a run's folder appears before what is written into it.
    """
    deadline = time.monotonic() + within_s
    while True:
        missing = ""
        try:
            if holds():
                return
        except FileNotFoundError as err:
            missing = f" (there is no {err.filename})"
        assert time.monotonic() < deadline, f"waited {within_s:g} s in vain for {what or holds}{missing}"
        time.sleep(0.01)


def pid_is_alive(pid: int) -> bool:
    """Whether the process runs: one that has ended and waits to be reaped does not."""
    stat = read_stat(pid)
    return stat is not None and stat.alive
