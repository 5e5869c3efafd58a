"""This very machine as a host: a script runs in a child process, in a session of its own.

Nothing here needs fabric, so that a fleet without ssh hosts starts fast.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from contextlib import suppress

from sltfleet.config.queue_url import QUEUE_VARIABLE
from sltfleet.core.errors import CommandTimeout, HostError
from sltfleet.core.shell import SHELL_COMMAND, Script, script_input
from sltfleet.transport.base import CommandResult, LineSink, RsyncEndpoint
from sltfleet.transport.capture import Capture, never_began, new_sentinel
from sltfleet.transport.children import end_at_exit

_READ_BYTES = 256 * 1024
#: So much fits into a pipe at once, usually.
_WRITE_BYTES = 64 * 1024


class LocalTransport:
    """Runs scripts on this machine. See `transport.base.Transport`."""

    def __init__(self, host: str) -> None:
        self._host = host

    @property
    def host(self) -> str:
        """The host's name in fleet.yaml."""
        return self._host

    def run(self, script: Script, *, timeout_s: float, on_line: LineSink | None = None) -> CommandResult:
        """Run `script` by `sh`. When the deadline passes, its whole process group is killed."""
        started_s = time.monotonic()
        sentinel = new_sentinel()
        stdout, stderr = Capture(sentinel, on_line), Capture(sentinel)
        try:
            child = subprocess.Popen(
                [SHELL_COMMAND],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                env=_environment(),
            )
        except OSError as error:
            why = f"{SHELL_COMMAND}: {error.strerror}"
            raise HostError("cannot run a shell", why, "see `ulimit -u` and `free`", self._host) from error
        end_at_exit(child)
        with child:
            try:
                if not _converse(child, script, script_input(script, sentinel), stdout, stderr, started_s + timeout_s):
                    raise CommandTimeout(
                        "the command did not end in time",
                        f"it was killed after {timeout_s:g} s",
                        "is the machine overloaded, or a disk dead? `top` tells",
                        self._host,
                    )
            finally:
                # Left by an error or Ctrl-C as well: nothing may go on unseen, and the pipes must not be waited for.
                if child.returncode is None:
                    _kill_group(child)
        # A shell's own way to tell of a signal, which Python gives as a negative number.
        exit_code = child.returncode if child.returncode >= 0 else 128 - child.returncode
        if not stdout.started:
            raise never_began(self._host, exit_code, stdout, stderr, f"see whether `{SHELL_COMMAND}` works by hand")
        stdout.finish()
        return CommandResult(
            exit_code=exit_code,
            stdout=stdout.text,
            stderr=stderr.text,
            noise=stdout.noise,
            duration_s=time.monotonic() - started_s,
        )

    def rsync_endpoint(self) -> RsyncEndpoint:
        """Return that rsync needs no remote shell."""
        return RsyncEndpoint(prefix="", rsh=None)

    def close(self) -> None:
        """There is no connection to end."""


def _converse(
    child: subprocess.Popen[bytes], script: Script, text: bytes, stdout: Capture, stderr: Capture, deadline_s: float
) -> bool:
    """Write the script and read both streams side by side until they end and the child is reaped.

    Return False where the deadline passed before. A watched script's input stays open all the while: its end is what
    the script watches for.
    """
    assert child.stdin
    assert child.stdout
    assert child.stderr
    sinks = {child.stdout.fileno(): stdout, child.stderr.fileno(): stderr}
    stdin = child.stdin.fileno()
    unsent = memoryview(text)
    with selectors.DefaultSelector() as selector:
        os.set_blocking(stdin, False)
        selector.register(stdin, selectors.EVENT_WRITE)
        for stream in sinks:
            selector.register(stream, selectors.EVENT_READ)
        while sinks:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return False
            for key, _ in selector.select(left_s):
                if key.fd == stdin:
                    unsent = _send(stdin, unsent)
                    if not unsent:
                        selector.unregister(stdin)
                        if not script.watched:
                            child.stdin.close()
                    continue
                data = os.read(key.fd, _READ_BYTES)
                if data:
                    sinks[key.fd].feed(data)
                else:
                    selector.unregister(key.fd)
                    del sinks[key.fd]
    try:
        child.wait(max(0.0, deadline_s - time.monotonic()))
    except subprocess.TimeoutExpired:
        return False
    return True


def _send(descriptor: int, unsent: memoryview) -> memoryview:
    """Write as much as fits and return the rest: nothing where the shell is gone, whose exit code then tells."""
    try:
        return unsent[os.write(descriptor, unsent[:_WRITE_BYTES]) :]
    except BlockingIOError:
        return unsent
    except BrokenPipeError:
        return unsent[:0]


def _environment() -> dict[str, str]:
    """This process's own, without the queue's secret: what runs here may print what it finds there."""
    return {name: value for name, value in os.environ.items() if name != QUEUE_VARIABLE}


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    # A process of the script that left the group may hold the pipes open: they are closed here, not read to their end.
    child.wait()
