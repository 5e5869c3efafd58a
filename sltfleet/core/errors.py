"""The errors that a person sees, as types with fields, and the exit codes of the commands.

An error says what failed, where (host, path, line, key, command), why, and what to do next. Foreign exceptions are
translated into these at the boundary where they arise; `sltfleet.report.problems` turns them into text, once, at the
top.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum


class ExitCode(IntEnum):
    """What the process's exit code says. `docs/REMOTE_TESTING.md` shows this table."""

    OK = 0
    #: A run, watched to its end, has cases that failed; or an attempt that was run again has.
    TESTS_FAILED = 1
    #: The command line or fleet.yaml is wrong.
    USAGE = 2
    #: A host cannot be reached, or its key or login is refused.
    HOST = 3
    #: A sync failed or was interrupted.
    SYNC = 4
    #: A build failed.
    BUILD = 5
    #: A run could not be started, or is refused because one is active.
    RUN = 6
    #: doctor found something that keeps the fleet from working, or a suite whose verdicts cannot be trusted.
    DOCTOR = 7
    #: Something was refused for safety's sake (a folder without a marker, say).
    REFUSED = 8
    #: A defect of sltfleet itself.
    INTERNAL = 70
    #: Ctrl-C, SIGTERM, or the end of the terminal. A run that was being watched goes on.
    INTERRUPTED = 130


# Compared by identity, as exceptions are: with `eq` they would not be hashable.
@dataclass(eq=False)
class FleetError(Exception):
    """Base of every error that is shown without a traceback.

    `what` failed, as a clause without a full stop ("cannot connect"); `why`, the reason in its own words; `fix`, what
    to type or change next; `host`, `command` and `detail` (text of several lines, e.g. what rustc printed) where there
    are any.
    """

    what: str
    why: str = ""
    fix: str = ""
    host: str = ""
    command: str = ""
    detail: str = ""

    exit_code = ExitCode.INTERNAL

    @property
    def summary(self) -> str:
        """What failed and why, for a place that names the host itself."""
        return self.what + (f": {self.why}" if self.why else "")

    def __str__(self) -> str:
        return (f"{self.host}: " if self.host else "") + self.summary

    def __post_init__(self) -> None:
        Exception.__init__(self, str(self))


class UsageError(FleetError):
    """The command line asks for something that does not exist or does not fit together."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True)
class ConfigProblem:
    """One mistake in fleet.yaml: `line` and `column` count from 1 (0: unknown), `key` is a dotted path."""

    line: int
    column: int
    key: str
    message: str
    hint: str = ""


@dataclass(eq=False)
class ConfigError(FleetError):
    """fleet.yaml cannot be used: every problem found in it, in the order of its lines."""

    path: str = ""
    problems: list[ConfigProblem] = field(default_factory=list)

    exit_code = ExitCode.USAGE


class HostError(FleetError):
    """A host cannot be reached or used."""

    exit_code = ExitCode.HOST


class ConnectError(HostError):
    """No connection: refused, timed out, no such name."""


class HostKeyError(HostError):
    """The host's key is unknown, or is not the one that is known."""


class LoginError(HostError):
    """The host did not accept the login: no key of ours, or a wrong user."""


class CommandTimeout(HostError):
    """A command on a host did not end within its deadline."""


class SyncError(FleetError):
    """The repo could not be brought to a host."""

    exit_code = ExitCode.SYNC


class BuildError(FleetError):
    """The suite could not be built on a host."""

    exit_code = ExitCode.BUILD


class RunError(FleetError):
    """A run could not be started, stopped or found."""

    exit_code = ExitCode.RUN


class ActiveRunError(RunError):
    """A run is active on the host already."""


class RefusedError(FleetError):
    """Refused for safety's sake."""

    exit_code = ExitCode.REFUSED
