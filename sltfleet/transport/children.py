"""What the transports have started here, and its end: nothing goes on when the program is over, however it ends.

The threads that attend to these processes are daemons, which Ctrl-C does not wait for.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import weakref

_children: weakref.WeakSet[subprocess.Popen[bytes]] = weakref.WeakSet()


def end_at_exit(child: subprocess.Popen[bytes]) -> None:
    """See to it that `child`, the leader of a process group, does not outlive the program."""
    _children.add(child)


@atexit.register
def end_all() -> None:
    """SIGKILL the groups of all that still run."""
    for child in tuple(_children):
        # One that is not reaped yet keeps its number, and with it that of its group.
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
