"""The Protocol that every transport fulfils. `tests/contract/test_transports.py` holds all of them to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from sltfleet.core.shell import Script

#: Enough for any answer that is parsed; a command that prints more has its middle dropped, not the memory filled.
MAX_CAPTURED_BYTES = 64 * 1024 * 1024

#: Gets each whole line of standard output as it arrives, without its newline.
LineSink = Callable[[str], None]


@dataclass(frozen=True)
class CommandResult:
    """What a script gave back. Text is UTF-8 with undecodable bytes as surrogates (`surrogateescape`).

    `exit_code` is 128 + N where a signal N ended it. `noise` is what the login shell's start-up files printed on
    standard output before the script began. `duration_s` counts from the call, connection included.
    """

    exit_code: int
    stdout: str
    stderr: str
    noise: str
    duration_s: float


@dataclass(frozen=True)
class RsyncEndpoint:
    """How rsync reaches the host: `prefix` stands before a path there ("" on this machine, else "name:").

    `rsh` is the argv of the remote shell that rsync starts (None on this machine).
    """

    prefix: str
    rsh: tuple[str, ...] | None


class Transport(Protocol):
    """A way to run scripts on one host. One thread uses it at a time."""

    @property
    def host(self) -> str:
        """The host's name in fleet.yaml."""

    def run(self, script: Script, *, timeout_s: float, on_line: LineSink | None = None) -> CommandResult:
        """Run `script` by `sh` on the host, and return once it and its output have ended.

        The deadline covers everything, connecting included. Raises CommandTimeout when it passes (a local script is
        killed, a watched remote one sees its descriptor 3 end), ConnectError, HostKeyError and LoginError where there
        is no connection. A non-zero exit is a result, not an error. With `on_line`, stdout is also handed over line by
        line.
        """

    def rsync_endpoint(self) -> RsyncEndpoint:
        """Return how rsync reaches this host. Raises HostError where ssh's settings cannot be read."""

    def close(self) -> None:
        """End the connection, if there is one. Calling it twice does no harm."""
