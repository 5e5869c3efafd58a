"""Ctrl-C, SIGTERM and a terminal that is closed: each ends a command in good order, and says what to type next."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from types import FrameType

#: After the first signal so many seconds belong to ending what is under way: impatience must not leave it behind.
GRACE_S = 5.0

#: What to type after a command that was interrupted, by its name.
_NEXT = {
    "setup": "`sltfleet doctor` shows what is still missing",
    "sync": "`sltfleet sync` again: until it is whole, `build` and `run` refuse the hosts that have half of it",
    "build": "`sltfleet build` again: what is compiled stays",
    "run": "`sltfleet status` shows whether the run has begun, `sltfleet stop` ends it",
    "quick": "`sltfleet status` shows whether the run has begun, `sltfleet stop` ends it",
    "status": "runs go on: `sltfleet status` shows them again",
    "logs": "runs go on: `sltfleet logs -f` follows them again, `sltfleet status` shows them",
    "stop": "`sltfleet status` shows whether the run has ended",
    "fetch": "`sltfleet fetch` again brings the rest",
    "clean": "`sltfleet clean --dry-run` with the same options shows what is left",
}


def next_after(argv: list[str]) -> str:
    """Return what a person may type after the command `argv` was interrupted."""
    command = argv[0] if argv else ""
    return _NEXT.get(command, f"`sltfleet {command}` again, when you like")


def raise_on_signals(now: Callable[[], float] = time.monotonic) -> None:
    """Have SIGINT, SIGTERM and SIGHUP raise KeyboardInterrupt in the main thread.

    One that is ignored stays so: that is how `nohup` and a shell's background jobs ask for it.
    """
    last_s: float | None = None

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal last_s
        if last_s is not None and now() - last_s < GRACE_S:
            return
        last_s = now()
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, interrupt)


def forget_interruption() -> None:
    """Let the process end with the exit code that it was given, also where the signal came during an import.

    CPython notes a KeyboardInterrupt that leaves code which `exec` was given as text, as dataclasses and named tuples
    are made, and `python -m` ends by SIGINT then, even where the exception was caught; the next such code makes it
    forget (Python/pythonrun.c, `run_eval_code_obj`).
    """
    exec("")
