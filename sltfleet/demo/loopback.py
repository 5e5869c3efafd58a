"""Hosts on this machine: real sshd processes on 127.0.0.0/8, for `sltfleet demo` and for the tests.

A `LoopbackFleet` keeps everything in one folder (host keys, login key, known_hosts, authorized_keys, ssh config, logs), runs as the
current user, root or not, and touches nothing of the person's own ssh set-up. Its ssh config is what `--ssh-config` takes.

Each sshd runs below a small `sh` that waits for the end of its standard input, a pipe whose other end only this process
holds: when this process ends, however it ends, the pipe closes, and the `sh` ends its sshd. (PR_SET_PDEATHSIG would fire already when
the thread that started the sshd ends.) Open sessions end with their client's connection.
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal

from sltfleet.core.errors import FleetError
from sltfleet.core.shell import join, quote

#: sshd must be started by an absolute path, and is not on everyone's PATH.
SSHD_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/sbin")

#: sshd refuses to start as root without it; Debian makes it only when its service starts.
PRIVILEGE_SEPARATION_DIR = Path("/run/sshd")

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


@dataclass(frozen=True)
class LoopbackHost:
    """One host: `alias` is its name in the ssh config; the rest are ways to differ from a plain account.

    `home`, `environment`, `login_shell` and `login_noise` come from a forced command that stands in for the account's
    own settings: it sets HOME and the variables, goes to HOME, prints the noise on both streams, waits a moment as slow start-up
    files do, and has the shell run what the client asked for. Without any of them the account is used as it is.
    """

    alias: str
    home: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    login_shell: str = ""
    login_noise: str = ""
    #: `silent` accepts connections and never says a word; `down` refuses them.
    server: Literal["sshd", "silent", "down"] = "sshd"
    #: Whether known_hosts has the host's key, lacks it, or has another one.
    host_key: Literal["known", "unknown", "changed"] = "known"
    #: False: the login key is not among the authorized ones.
    authorized: bool = True
    #: More lines for this host in the ssh config; they go before the fleet's own, so they win.
    ssh_config: tuple[str, ...] = ()
    #: More lines for its sshd_config; the same.
    sshd_config: tuple[str, ...] = ()


@dataclass
class _Server:
    """What runs for one host: `address` and `port` are where its clients connect."""

    host: LoopbackHost
    address: str
    port: int
    folder: Path
    supervisor: subprocess.Popen[bytes] | None = None
    listener: socket.socket | None = None


class LoopbackFleet:
    """A context manager: the hosts run between enter and exit.

    `folder` is made where it is missing and stays; without one, a temporary folder is used and removed. Raises FleetError where sshd
    is missing or does not start.
    """

    def __init__(self, hosts: Sequence[LoopbackHost], folder: Path | None = None) -> None:
        self._hosts = tuple(hosts)
        self._temporary = folder is None
        self.folder = folder.resolve() if folder else Path()
        self._servers: dict[str, _Server] = {}

    @property
    def ssh_config(self) -> Path:
        """The ssh config with an entry for every host."""
        return self.folder / "ssh_config"

    @property
    def known_hosts(self) -> Path:
        """The known_hosts file that the ssh config names."""
        return self.folder / "known_hosts"

    @property
    def user_key(self) -> Path:
        """The private key that the hosts accept; beside it, with `.pub`, the public one."""
        return self.folder / "user_key"

    def address(self, alias: str) -> tuple[str, int]:
        """Return address and port of a host."""
        server = self._servers[alias]
        return server.address, server.port

    def log(self, alias: str) -> str:
        """Return what the host's sshd has logged."""
        return _read_log(self._servers[alias].folder / "sshd.log")

    def drop_sessions(self, alias: str) -> int:
        """Kill the host's sshd processes of open connections, as a crash or a reboot would; return how many there were."""
        supervisor = self._servers[alias].supervisor
        parents = _parents()
        listeners = [pid for pid, parent in parents.items() if supervisor and parent == supervisor.pid]
        sessions = [pid for pid, parent in parents.items() if parent in listeners]
        for pid in sessions:
            _kill(pid)
        return len(sessions)

    def __enter__(self) -> LoopbackFleet:
        if self._temporary:
            self.folder = Path(tempfile.mkdtemp(prefix="sltfleet-loopback-")).resolve()
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop every host and its sessions, and remove a temporary folder. Calling it twice does no harm."""
        for server in self._servers.values():
            _stop(server)
        if self._temporary and self.folder != Path():
            shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self) -> None:
        sshd = find_sshd()
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make_key(self.user_key)
        _make_key(self.folder / "other_key")
        if os.geteuid() == 0:
            PRIVILEGE_SEPARATION_DIR.mkdir(mode=0o755, exist_ok=True)
        options = _version_options(sshd, self.user_key)
        for index, host in enumerate(self._hosts):
            folder = self.folder / f"host-{index}"
            folder.mkdir(exist_ok=True, mode=0o700)
            address = f"127.0.{index // 250}.{index % 250 + 2}"
            server = _Server(host, address, 0, folder)
            self._servers[host.alias] = server
            if host.server == "sshd":
                self._launch(sshd, server, options)
            else:
                server.listener, server.port = _bind(address, listen=host.server == "silent")
        # All start side by side; then each is waited for.
        for server in self._servers.values():
            if server.supervisor:
                _wait_until_up(server)
        self.known_hosts.write_text("".join(self._known_hosts_line(server) for server in self._servers.values()))
        self.ssh_config.write_text("\n".join(self._ssh_config_entry(server) for server in self._servers.values()))

    def _launch(self, sshd: Path, server: _Server, options: tuple[str, ...]) -> None:
        host, folder = server.host, server.folder
        _make_key(folder / "host_key")
        key = self.user_key if host.authorized else self.folder / "other_key"
        (folder / "authorized_keys").write_bytes(key.with_suffix(".pub").read_bytes())
        probe, server.port = _bind(server.address, listen=False)
        probe.close()
        lines = [
            *host.sshd_config,
            *options,
            f"ListenAddress {server.address}:{server.port}",
            f"HostKey {_ssh_word(folder / 'host_key')}",
            f"AuthorizedKeysFile {_ssh_word(folder / 'authorized_keys', tokens=True)}",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            # The folder may lie below one that others can write to, such as /tmp.
            "StrictModes no",
            f"UsePAM {'yes' if _account_is_locked() else 'no'}",
            "PidFile none",
            "PrintMotd no",
            "MaxStartups 200",
            "MaxSessions 200",
            "LogLevel VERBOSE",
        ]
        if host.home or host.environment or host.login_shell or host.login_noise:
            wrapper = folder / "login"
            wrapper.write_text(_login_wrapper(host))
            wrapper.chmod(0o700)
            lines.append(f"ForceCommand {quote(str(wrapper))}")
        config = folder / "sshd_config"
        config.write_text("\n".join(lines) + "\n")
        with open(folder / "sshd.log", "wb") as log:
            server.supervisor = subprocess.Popen(
                ["sh", "-c", _SUPERVISOR, "sh", str(sshd), "-D", "-e", "-f", str(config)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _known_hosts_line(self, server: _Server) -> str:
        if server.host.server != "sshd" or server.host.host_key == "unknown":
            return ""
        known = server.folder / "host_key" if server.host.host_key == "known" else self.folder / "other_key"
        kind, key = known.with_suffix(".pub").read_text().split()[:2]
        return f"[{server.address}]:{server.port} {kind} {key}\n"

    def _ssh_config_entry(self, server: _Server) -> str:
        lines = [
            *server.host.ssh_config,
            f"HostName {server.address}",
            f"Port {server.port}",
            f"User {_ssh_word(getpass.getuser())}",
            f"IdentityFile {_ssh_word(self.user_key, tokens=True)}",
            "IdentitiesOnly yes",
            "IdentityAgent none",
            f"UserKnownHostsFile {_ssh_word(self.known_hosts, tokens=True)}",
            "GlobalKnownHostsFile none",
        ]
        return f"Host {server.host.alias}\n" + "".join(f"  {line}\n" for line in lines)


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


def _login_wrapper(host: LoopbackHost) -> str:
    """Return the sh text of the forced command that stands in for the account's own settings."""
    lines = ["#!/bin/sh"]
    lines += [f"{name}={quote(value)}; export {name}" for name, value in host.environment.items()]
    if host.home:
        lines.append(f'HOME={quote(str(host.home))}; export HOME; cd "$HOME" || exit 1')
    if host.login_noise:
        noise = quote(host.login_noise)
        lines += [f"printf '%s' {noise}; printf '%s' {noise} >&2; sleep 0.1"]
    lines.append(f'exec {quote(host.login_shell or "/bin/sh")} -c "$SSH_ORIGINAL_COMMAND"')
    return "\n".join(lines) + "\n"


def _ssh_word(value: Path | str, *, tokens: bool = False) -> str:
    """Return one word of an OpenSSH config file; `tokens` for the options in which `%` has a meaning."""
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + (text.replace("%", "%%") if tokens else text) + '"'


def _make_key(path: Path) -> None:
    if not path.exists():
        _checked(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "sltfleet loopback", "-f", str(path)])


def _version_options(sshd: Path, key: Path) -> tuple[str, ...]:
    """Return the options that only newer versions know (and others refuse to start with).

    Since 9.8 an sshd shuts out addresses whose logins fail: all hosts here have the same clients, whose logins may be meant to fail.
    """
    option = "PerSourcePenalties no"
    words = [str(sshd), "-t", "-f", os.devnull, "-h", str(key), "-o", option]
    knows = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0
    return (option,) if knows else ()


def _account_is_locked() -> bool:
    """Whether the account's password is locked: without PAM, sshd then refuses keys as well. Only root can know."""
    try:
        entries = Path("/etc/shadow").read_text(errors="replace").splitlines()
    except OSError:
        return False
    return any(line.startswith(f"{getpass.getuser()}:!") for line in entries)


def _bind(address: str, *, listen: bool) -> tuple[socket.socket, int]:
    """Return a socket bound to a free port of `address`. One that listens has its connections accepted by the kernel."""
    bound = socket.socket()
    try:
        bound.bind((address, 0))
        if listen:
            bound.listen(16)
    except OSError as error:
        bound.close()
        raise FleetError(
            "cannot start hosts on this machine",
            f"{address}: {error.strerror}",
            "all of 127.0.0.0/8 must be this machine, as it is on Linux",
        ) from error
    return bound, int(bound.getsockname()[1])


def _wait_until_up(server: _Server) -> None:
    log = server.folder / "sshd.log"
    deadline = time.monotonic() + START_TIMEOUT_S
    # The log says it: a trial connection would leave an unfinished login behind.
    while "Server listening on" not in (text := _read_log(log)):
        if "fatal" in text or "ad configuration option" in text or time.monotonic() > deadline:
            raise FleetError(
                f"sshd for the host {server.host.alias!r} does not start",
                fix=f"its configuration is {server.folder / 'sshd_config'}",
                detail=text,
            )
        time.sleep(0.005)


def _read_log(path: Path) -> str:
    return path.read_text(errors="replace")


def _stop(server: _Server) -> None:
    if server.listener:
        server.listener.close()
    supervisor = server.supervisor
    if supervisor is None or supervisor.stdin is None or supervisor.returncode is not None:
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
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it has ended by itself


def _checked(argv: list[str]) -> None:
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise FleetError(
            "cannot make ssh keys",
            f"there is no {argv[0]} on the PATH",
            "apt-get install openssh-client (as root)",
            command=join(argv),
        ) from None
    if done.returncode != 0:
        raise FleetError("cannot make ssh keys", done.stderr.strip(), command=join(argv))
