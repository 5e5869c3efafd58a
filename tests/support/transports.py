"""A transport that answers as a test tells it to, for what a real shell cannot be made to do on demand."""

from __future__ import annotations

from collections.abc import Callable

from sltfleet.core.shell import Script
from sltfleet.transport.base import CommandResult, LineSink, RsyncEndpoint


def answer(stdout: str = "", *, exit_code: int = 0, stderr: str = "") -> CommandResult:
    """Return what a script gave back."""
    return CommandResult(exit_code, stdout, stderr, noise="", duration_s=0.0)


class ScriptedTransport:
    """Hands every script to `respond`, and keeps it in `scripts`."""

    def __init__(self, host: str, respond: Callable[[Script], CommandResult]) -> None:
        self._host = host
        self._respond = respond
        self.scripts: list[Script] = []
        self.closed = 0

    @property
    def host(self) -> str:
        """The host's name in fleet.yaml."""
        return self._host

    def run(self, script: Script, *, timeout_s: float, on_line: LineSink | None = None) -> CommandResult:
        """Return what `respond` says, or raise what it raises."""
        self.scripts.append(script)
        return self._respond(script)

    def rsync_endpoint(self) -> RsyncEndpoint:
        """Return that rsync needs no remote shell."""
        return RsyncEndpoint(prefix="", rsh=None)

    def close(self) -> None:
        """Count how often it was closed."""
        self.closed += 1
