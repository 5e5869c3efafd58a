"""The fleet that harm is done to, and the person who types: real sshd hosts on the loopback network, no cargo.

It is the fault tests' own campaign, with the observer's units, each host's folder on a small file system of its own
where mounting is possible, and a list of everything that was typed and done.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sltfleet.demo.loopback import LoopbackHost
from sltfleet.runner.processes import is_alive
from soak_test import units
from soak_test.accounting import Harm
from soak_test.claims import Said
from soak_test.plan import HOSTS
from tests.faults.campaign import Campaign, campaign

#: No command takes longer, on whatever machine: it would be one that never ends.
COMMAND_LIMIT_S = 180.0

#: The file systems of the hosts: they have to be filled, so they must not be large.
DISK_BYTES = 96 * 1024 * 1024

_RUN_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]+")


def now_s() -> float:
    """Return the seconds since boot: the clock of the units' log."""
    return float(Path("/proc/uptime").read_text().split()[0])


@dataclass
class Typing:
    """A command that was begun. `ended_by`: the signal that it was sent, 0 for none."""

    words: tuple[str, ...]
    process: subprocess.Popen[str]
    at_s: float
    ended_by: int = 0


@dataclass
class Scene:
    """What is there, and everything that was typed and done so far."""

    folder: Path
    campaign: Campaign
    #: Whether the hosts have file systems of their own, which can be filled.
    own_disks: bool
    said: list[Said] = field(default_factory=list)
    harms: list[Harm] = field(default_factory=list)
    typing: list[Typing] = field(default_factory=list)
    #: Whether sltfleet can resume a run.
    resumes: bool = False
    version: int = 0

    @property
    def log(self) -> Path:
        """The observer's log."""
        return self.campaign.log

    def runs_folder(self, host: str) -> Path:
        """Where a host keeps its runs."""
        return self.campaign.project_dir(host) / "runs"

    def current(self, host: str) -> str:
        """The newest run of a host, "" where it has none."""
        with contextlib.suppress(OSError):
            return self.campaign.run_dir(host).name
        return ""

    def runner(self, host: str) -> int | None:
        """The living runner of a host, None where there is none."""
        with contextlib.suppress(OSError, AssertionError):
            identity = self.campaign.identity(host)
            if is_alive(identity):
                return identity.pid
        return None

    def begin(self, *words: str) -> Typing:
        """Type a command and do not wait for it."""
        typing = Typing(words, self.campaign.person.start(*words), now_s())
        self.typing.append(typing)
        return typing

    def finish(self, typing: Typing) -> Said:
        """Wait for a command's end, and remember what it said."""
        process = typing.process
        try:
            typed = self.campaign.person.finish(process, COMMAND_LIMIT_S)
            said = Said(typing.words, typed.exit_code, typed.stdout, typed.stderr, typing.at_s, typing.ended_by)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            said = Said(typing.words, None, out, err, typing.at_s, typing.ended_by)
        self.typing.remove(typing)
        self.said.append(said)
        return said

    def types(self, *words: str) -> Said:
        """Type a command and wait for its end."""
        return self.finish(self.begin(*words))

    def finish_all(self) -> None:
        """Wait for all that was begun."""
        for typing in list(self.typing):
            self.finish(typing)

    def knows(self, command: str) -> bool:
        """Whether sltfleet has a command."""
        return self.campaign.person.types(command, "--help").exit_code == 0

    @property
    def changed(self) -> list[Path]:
        """The files of the repo that each of its versions changes. The units read the first one."""
        repo = self.campaign.person.cwd / "repo"
        return [repo / "version.txt", *(repo / "data" / f"{index}.txt" for index in range(40))]

    def change_repo(self) -> None:
        """Make another version of the repo."""
        self.version += 1
        for path in self.changed:
            path.write_text(f"{self.version}\n" + f"of {path.name}\n" * 200)

    def run_ids(self) -> list[str]:
        """Return the runs that any host has, oldest first."""
        found = {path.name for host in HOSTS for path in self.runs_folder(host).glob("*")}
        return sorted(run for run in found if _RUN_ID.match(run))


@contextlib.contextmanager
def scene(folder: Path) -> Iterator[Scene]:
    """Give the scene in an empty folder. Everything that was started is ended with it, also by Ctrl-C."""
    with contextlib.ExitStack() as stack:
        mounted = [_mount(folder / "hosts" / host, stack) for host in HOSTS]
        temporary = folder / "tmp"
        temporary.mkdir()
        environment = {"TMPDIR": str(temporary)}
        hosts = []
        for host in HOSTS:
            home = folder / "homes" / host
            home.mkdir(parents=True)
            hosts.append(LoopbackHost(host, home=home, environment=environment))
        suite = {
            "units": {
                "kind": "command",
                "program": ["bash", "unit.sh", "{unit}", "{run}", "{attempt}", "{worker}"],
                "items": list(units.UNITS),
            },
            "timeout": f"{units.TIMEOUT_S:g}s",
            "output_limit": "64KiB",
            "artifacts_limit": "1MiB",
        }
        made = stack.enter_context(campaign(folder, (), hosts, suite=suite))
        made.person.environ.update(environment)
        repo = made.person.cwd / "repo"
        (repo / "unit.sh").write_text(units.SCRIPT)
        (repo / "data").mkdir()
        found = Scene(folder, made, own_disks=all(mounted))
        found.resumes = found.knows("resume")
        found.change_repo()
        yield found


def _mount(folder: Path, stack: contextlib.ExitStack) -> bool:
    """Put a small file system there, and return whether that was possible: root may, in most containers not."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=755", "soak", str(folder)]
    if subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode != 0:
        return False
    stack.callback(subprocess.run, ["umount", "--lazy", str(folder)], check=False)
    return True
