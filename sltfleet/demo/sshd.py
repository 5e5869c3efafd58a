"""One sshd in the foreground, ended by its pid when it is no longer wanted, or when this process ends in any way.

sshd runs below a small `sh` that waits for the end of its standard input, a pipe whose other end only this process
holds: when this process is gone the pipe closes, and the `sh` ends its sshd. (PR_SET_PDEATHSIG would fire already
when the thread that started the sshd ends.) Open sessions end with their client's connection. What its configuration
says is left to `loopback`.
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from sltfleet.core.errors import FleetError

#: sshd must be started by an absolute path, and is not on everyone's PATH.
SSHD_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/sbin")

#: sshd is up within a few hundredths of a second; a loaded machine may take longer.
START_TIMEOUT_S = 20.0

#: An ended sshd needs no time; after this long it is killed.
STOP_TIMEOUT_S = 5.0

_SUPERVISOR = """\
"$@" &
server=$!
read -r _
kill "$server" 2>/dev/null
wait "$server"
"""


class Sshd:
    """One running sshd and the sessions below it. `command` starts it: its absolute path, maybe behind other words."""

    def __init__(self, command: Sequence[str], config: Path, log: Path) -> None:
        self._config = config
        self._log = log
        with open(log, "wb") as output:
            self._supervisor = subprocess.Popen(
                ["sh", "-c", _SUPERVISOR, "sh", *command, "-D", "-e", "-f", str(config)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def read_log(self) -> str:
        """Return what it has logged."""
        return self._log.read_text(errors="replace")

    def wait_until_up(self) -> None:
        """Return once it listens. Raises FleetError with its log where it does not."""
        deadline = time.monotonic() + START_TIMEOUT_S
        # The log says it: a trial connection would leave an unfinished login behind.
        while "Server listening on" not in (text := self.read_log()):
            if "fatal" in text or "ad configuration option" in text or time.monotonic() > deadline:
                raise FleetError("sshd does not start", fix=f"its configuration is {self._config}", detail=text)
            time.sleep(0.005)

    def drop_sessions(self) -> int:
        """Kill the processes of open connections, as a crash or a reboot would; return how many there were."""
        parents = _parents()
        listeners = [pid for pid, parent in parents.items() if parent == self._supervisor.pid]
        sessions = [pid for pid, parent in parents.items() if parent in listeners]
        for pid in sessions:
            _kill(pid)
        return len(sessions)

    def take_down(self) -> None:
        """End it and its connections, but not what was started through them."""
        self.drop_sessions()
        assert self._supervisor.stdin
        self._supervisor.stdin.close()
        self._supervisor.wait(STOP_TIMEOUT_S)

    def stop(self) -> None:
        """End it and its sessions. Calling it twice does no harm."""
        supervisor = self._supervisor
        assert supervisor.stdin
        if supervisor.returncode is not None:
            return
        below = _descendants(supervisor.pid)
        supervisor.stdin.close()
        try:
            supervisor.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            supervisor.kill()
            supervisor.wait()
        # The sessions outlive their listener: end what is left of them.
        for pid in below:
            _kill(pid)


def find_sshd() -> Path:
    """Return the absolute path of sshd. Raises FleetError where it is not installed."""
    for folder in SSHD_FOLDERS:
        path = Path(folder, "sshd")
        if os.access(path, os.X_OK):
            return path
    found = shutil.which("sshd")
    if found:
        return Path(found).absolute()
    looked = ", ".join((*SSHD_FOLDERS, "PATH"))
    raise FleetError(
        "cannot start hosts on this machine",
        f"there is no sshd in {looked}",
        "apt-get install openssh-server (as root); nothing of it needs to be started or configured",
    )


def version_options(sshd: Path, key: Path) -> tuple[str, ...]:
    """Return the options that only newer versions know (and others refuse to start with).

    Since 9.8 an sshd shuts out addresses whose logins fail: all hosts here have the same clients, whose logins may be
    meant to fail.
    """
    option = "PerSourcePenalties no"
    words = [str(sshd), "-t", "-f", os.devnull, "-h", str(key), "-o", option]
    knows = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0
    return (option,) if knows else ()


def account_is_locked() -> bool:
    """Whether the account's password is locked: without PAM, sshd then refuses keys as well. Only root can know."""
    try:
        entries = Path("/etc/shadow").read_text(errors="replace").splitlines()
    except OSError:
        return False
    return any(line.startswith(f"{getpass.getuser()}:!") for line in entries)


def _parents() -> dict[int, int]:
    """Return the parent of every process that /proc shows (empty where there is no /proc)."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name, in parentheses, may itself hold parentheses and spaces.
            fields = entry.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        parents[int(entry.parent.name)] = int(fields[1])
    return parents


def _descendants(root: int) -> list[int]:
    parents = _parents()
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found[1:]


def _kill(pid: int) -> None:
    # It may have ended by itself.
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
