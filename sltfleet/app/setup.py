"""setup: installs on every host what a run needs and doctor found missing; `core.installing` plans what is typed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sltfleet.app.doctor import examine_host, host_needs, probe_host
from sltfleet.app.fleet import Fleet, Host, HostResults
from sltfleet.app.progress import Listener, StepFinished, StepStarted, Warned
from sltfleet.core.diagnosis import HostDiagnosis
from sltfleet.core.errors import CommandTimeout, HostError
from sltfleet.core.facts import HostFacts
from sltfleet.core.installing import (
    LISTS_LOCKED,
    LOCK_WAIT_S,
    Command,
    Plan,
    command_script,
    parse_sources,
    plan_packages,
    plan_rust,
    sources_script,
)
from sltfleet.transport.base import CommandResult

#: For everything on one host: a compiler and its friends over a slow line.
SETUP_TIMEOUT_S = 20 * 60.0

#: rustup's two addresses, ten seconds each, and apt-cache.
_SOURCES_TIMEOUT_S = 60.0

_LOCK_RETRY_S = 5.0

#: Of what a command that failed had printed, so many lines are shown.
_TAIL_LINES = 40


@dataclass(frozen=True)
class Clock:
    """How setup waits and how it knows how long; tests have another one."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class SetupResult:
    """What was typed on a host, or would be with `--dry-run`, and how the host is now (None: it was a dry run)."""

    commands: tuple[Command, ...]
    diagnosis: HostDiagnosis | None = None


def setup(
    fleet: Fleet, listener: Listener, *, dry_run: bool = False, clock: Clock | None = None
) -> HostResults[SetupResult]:
    """Install what is missing on every selected host; a host that lacks nothing is left alone.

    A host gets an error where a command fails (HostError with the end of its output), where only an administrator can
    install what is essential (HostError with the commands), or where 20 minutes are over (CommandTimeout).
    """

    def work(host: Host) -> tuple[SetupResult, str]:
        installer = _Installer(host, listener, host_needs(fleet, host).cargo, dry_run, clock or Clock())
        commands = installer.install()
        if dry_run:
            return SetupResult(commands), _count(commands, "would run")
        diagnosis = examine_host(fleet, host)
        return SetupResult(commands, diagnosis), f"{_count(commands, 'ran')}; now: {diagnosis.level}"

    return fleet.each_host("setting up", work, listener)


@dataclass
class _Installer:
    """The installation on one host."""

    host: Host
    listener: Listener
    cargo: bool
    dry_run: bool
    clock: Clock
    deadline_s: float = field(init=False)

    def __post_init__(self) -> None:
        self.deadline_s = self.clock.monotonic() + SETUP_TIMEOUT_S

    def install(self) -> tuple[Command, ...]:
        facts, _ = probe_host(self.host)
        if facts.system != "Linux":
            why = f"this is {facts.system or 'an unknown system'}, and the runner needs Linux"
            raise HostError("cannot set up this host", why, "take a Linux host")
        commands = self.carry_out(plan_packages(facts, cargo=self.cargo))
        if self.cargo and facts.cargo is None:
            commands += self.carry_out(self.plan_rust(facts))
        return commands

    def plan_rust(self, facts: HostFacts) -> Plan:
        # Asked only now: curl, and apt's lists, may have come a moment ago.
        result = self.host.transport.run(sources_script(), timeout_s=min(_SOURCES_TIMEOUT_S, self.left_s()))
        return plan_rust(facts, parse_sources(result.stdout))

    def carry_out(self, plan: Plan) -> tuple[Command, ...]:
        """Do what a plan says and return its commands. Raises HostError for a blocked plan and a failed command."""
        by_hand = "\n".join(map(str, plan.by_hand))
        if plan.blocked:
            fix = "an administrator of the host has to type:\n" + by_hand if by_hand else "install it there by hand"
            raise HostError("cannot install what is missing", plan.why, fix)
        if plan.why:
            self.listener(Warned(self.host.name, f"not everything was installed: {plan.why}", by_hand))
        if not self.dry_run:
            for command in plan.commands:
                self.run(command)
        return plan.commands

    def run(self, command: Command) -> None:
        self.listener(StepStarted(self.host.name, command.title))
        started_s = self.clock.monotonic()
        result = self.attempt(command)
        while LISTS_LOCKED.search(result.stdout) and self.clock.monotonic() - started_s < LOCK_WAIT_S:
            self.clock.sleep(_LOCK_RETRY_S)
            result = self.attempt(command)
        if result.exit_code != 0:
            raise HostError(
                f"{command.title} failed",
                f"exit code {result.exit_code}",
                "read its last lines above; once it works by hand, `sltfleet setup` goes on from there",
                command=str(command),
                detail="\n".join((result.stdout + result.stderr).rstrip().split("\n")[-_TAIL_LINES:]),
            )
        self.listener(StepFinished(self.host.name, command.title, "done"))

    def attempt(self, command: Command) -> CommandResult:
        return self.host.transport.run(command_script(command), timeout_s=self.left_s())

    def left_s(self) -> float:
        left_s = self.deadline_s - self.clock.monotonic()
        if left_s <= 0:
            why = f"{SETUP_TIMEOUT_S / 60:.0f} minutes are over"
            raise CommandTimeout(
                "the setup did not end in time", why, "run `sltfleet setup` again: it goes on from there"
            )
        return left_s


def _count(commands: tuple[Command, ...], verb: str) -> str:
    if not commands:
        return "nothing to do"
    return f"{verb} {len(commands)} command{'s' if len(commands) != 1 else ''}"
