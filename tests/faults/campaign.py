"""A small fleet to do harm to: real sshd hosts, a suite of shell scripts that log their own starts and ends, no cargo.

What a test compares in the end: the tests' own log (`observed`), the journals on the hosts (`journal`), and what the
commands print.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sltfleet.demo.loopback import LoopbackFleet, LoopbackHost
from sltfleet.runner.processes import is_alive, marked
from sltfleet.wire.codec import DecodeError
from sltfleet.wire.events import AttemptFinished, AttemptStarted, Event, event_from_line
from sltfleet.wire.state import FINISHED, Identity, State, identity_from_line, state_from_json
from tests.support.cargo import session_environment
from tests.support.cli import Person
from tests.support.hosts import write_fleet_yaml
from tests.support.waiting import wait_for

PROJECT = "faults"

#: What every unit does: logs its start with its pid, does what the item says (shell text), and logs its end.
UNIT = """\
#!/bin/sh
printf 'start %s %s\\n' "$$" "$1" >>"$LOG"
eval "$1"
code=$?
printf 'end %s %s\\n' "$$" "$1" >>"$LOG"
exit "$code"
"""


@dataclass
class Campaign:
    """A person in a project's folder, and the hosts' folders on this machine. Units are lines of shell text."""

    person: Person
    loopback: LoopbackFleet
    roots: Mapping[str, Path]

    @property
    def log(self) -> Path:
        """Where the units write what they do, on whatever host."""
        return self.person.cwd.parent / "attempts.log"

    def project_dir(self, host: str) -> Path:
        """The project's folder on a host."""
        return self.roots[host] / PROJECT

    def run_dir(self, host: str) -> Path:
        """The folder of the newest run on a host."""
        return self.project_dir(host) / "runs" / (self.project_dir(host) / "current").read_text().strip()

    def identity(self, host: str) -> Identity:
        """The process of the newest run's runner."""
        found = identity_from_line((self.run_dir(host) / "identity").read_text())
        assert found is not None
        return found

    def state(self, host: str) -> State:
        """The newest run's state file."""
        return state_from_json(json.loads((self.run_dir(host) / "state.json").read_bytes()))

    def kill_runner(self, host: str) -> int:
        """SIGKILL the newest run's runner, and return its pid."""
        pid = self.identity(host).pid
        os.kill(pid, signal.SIGKILL)
        return pid

    def attempts_alive(self, host: str) -> list[int]:
        """The living processes of the newest run's attempts."""
        return marked(str(self.run_dir(host)))

    def journal(self, host: str) -> list[Event]:
        """Every whole event in the newest run's journal, as it lies on the host."""
        events = []
        for line in (self.run_dir(host) / "journal.jsonl").read_bytes().splitlines(keepends=True):
            with contextlib.suppress(DecodeError):
                events.append(event_from_line(line))
        return events

    def finished(self, host: str) -> list[AttemptFinished]:
        """The newest run's attempts that are over."""
        return [event for event in self.journal(host) if isinstance(event, AttemptFinished)]

    def started(self, host: str) -> list[AttemptStarted]:
        """The newest run's attempts that were started."""
        return [event for event in self.journal(host) if isinstance(event, AttemptStarted)]

    def observed(self) -> list[tuple[str, int, str]]:
        """What the units logged: `start` or `end`, the pid, the unit."""
        if not self.log.exists():
            return []
        parts = (line.split(" ", 2) for line in self.log.read_text().splitlines())
        return [(what, int(pid), unit) for what, pid, unit in parts]

    def status(self) -> dict[str, Any]:
        """What `status --format json` says, by host. Its exit code may be that of a lost host."""
        hosts: list[dict[str, Any]] = self.person.types("status", "--format", "json").json()["hosts"]
        return {host["host"]: host for host in hosts}

    def waits_for_the_end(self, *hosts: str) -> None:
        """Wait until the newest run of these hosts (none: of all) is over."""
        wait_for(lambda: all(self.state(host).phase == FINISHED for host in hosts or self.roots), "the run's end")

    def fetched_outcomes(self) -> dict[str, int]:
        """Fetch, and return how many attempts had which outcome, over all hosts."""
        outcomes = self.person.does("fetch", "--format", "json").json()["summary"]["outcomes"]
        return {outcome: count for outcome, count in outcomes.items() if count}

    def fetched_dir(self, host: str) -> Path:
        """Where `fetch` put what it brought of the newest run."""
        return self.person.cwd / ".sltfleet" / "runs" / self.run_dir(host).name / host

    def end_everything(self) -> None:
        """SIGKILL every runner and whatever bears the mark of a run."""
        for root in self.roots.values():
            for run_dir in (root / PROJECT / "runs").glob("*"):
                with contextlib.suppress(OSError):
                    identity = identity_from_line((run_dir / "identity").read_text())
                    if identity is not None and is_alive(identity):
                        os.kill(identity.pid, signal.SIGKILL)
                for pid in marked(str(run_dir)):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def campaign(
    folder: Path,
    units: Sequence[str],
    hosts: Sequence[LoopbackHost] = (LoopbackHost("alpha"),),
    *,
    suite: Mapping[str, Any] | None = None,
    **more: Any,
) -> Iterator[Campaign]:
    """Give a campaign over `hosts` in `folder`; `suite` are more keys of the suite, `more` of fleet.yaml.

    Every process is ended with the block: hosts, runners, attempts, commands.
    """
    home, cwd = folder / "home", folder / "work"
    home.mkdir()
    (cwd / "repo").mkdir(parents=True)
    (cwd / "repo" / "unit.sh").write_text(UNIT)
    homely = [_at_home(host, folder / "homes" / host.alias) for host in hosts]
    environment: dict[str, str] = dict((suite or {}).get("env", {}))
    with LoopbackFleet(homely, folder / "ssh") as loopback, Person(cwd, home) as person:
        roots = {host.alias: folder / "hosts" / host.alias for host in hosts}
        made = Campaign(person, loopback, roots)
        person.environ["SLTFLEET_SSH_CONFIG"] = str(loopback.ssh_config)
        write_fleet_yaml(
            cwd,
            project=PROJECT,
            repo="repo",
            hosts={name: {"root": str(root)} for name, root in roots.items()},
            suites={
                "all": {
                    "units": {"kind": "command", "program": ["sh", "unit.sh", "{unit}"], "items": list(units)},
                    "kill_after": "1s",
                    **(suite or {}),
                    "env": {"LOG": str(made.log), **environment},
                }
            },
            **more,
        )
        try:
            yield made
        finally:
            made.end_everything()


def _at_home(host: LoopbackHost, home: Path) -> LoopbackHost:
    """Give a host a home folder that is not the person's, and the environment in which cargo is found there."""
    if host.home is None:
        home.mkdir(parents=True)
    environment = {**session_environment(), **host.environment}
    return replace(host, home=host.home or home, environment=environment)
