"""Hosts on this machine: real sshd processes on 127.0.0.0/8, for `sltfleet demo` and for the tests.

A `LoopbackFleet` keeps everything in one folder (host keys, login key, known_hosts, authorized_keys, ssh config,
logs), runs as the current user, root or not, and touches nothing of the person's own ssh set-up. Its ssh config is
what `--ssh-config` takes.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal

from sltfleet.core.errors import FleetError
from sltfleet.core.shell import join, quote
from sltfleet.demo.sshd import Sshd, account_is_locked, find_sshd, version_options

#: sshd refuses to start as root without it; Debian makes it only when its service starts.
PRIVILEGE_SEPARATION_DIR = Path("/run/sshd")

#: Where a host with an address of its own listens: nothing else does there.
OWN_ADDRESS_PORT = 2222


@dataclass(frozen=True)
class LoopbackHost:
    """One host: `alias` is its name in the ssh config; the rest are ways to differ from a plain account.

    `home`, `environment`, `login_shell` and `login_noise` come from a forced command that stands in for the account's
    own settings: it sets HOME and the variables, goes to HOME, prints the noise on both streams, waits a moment as
    slow start-up files do, and has the shell run what the client asked for. Without any of them the account is used
    as it is.
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
    #: For an sshd elsewhere than on the loopback network: the words that start it there (`nsenter …`), and its address.
    launcher: tuple[str, ...] = ()
    address: str = ""


@dataclass
class _Server:
    """What runs for one host: `address` and `port` are where its clients connect."""

    host: LoopbackHost
    address: str
    port: int
    folder: Path
    sshd: Sshd | None = None
    #: Has the port for as long as the fleet lives: nobody else gets it, also while the sshd is not up.
    holder: socket.socket | None = None


class LoopbackFleet:
    """A context manager: the hosts run between enter and exit.

    `folder` is made where it is missing and stays; without one, a temporary folder is used and removed. Raises
    FleetError where sshd is missing or does not start.
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
        sshd = self._servers[alias].sshd
        return sshd.read_log() if sshd else ""

    def drop_sessions(self, alias: str) -> int:
        """Cut the open connections to a host, as a crash or a reboot would; return how many processes that were."""
        sshd = self._servers[alias].sshd
        return sshd.drop_sessions() if sshd else 0

    def stop(self, alias: str) -> None:
        """Let a host be out of reach: its sshd and its sessions end, and nothing listens there any more."""
        sshd = self._servers[alias].sshd
        if sshd:
            sshd.stop()

    def start(self, alias: str) -> None:
        """Let a host that was stopped be in reach again, at the same address. Raises FleetError."""
        server = self._servers[alias]
        command = (*server.host.launcher, str(find_sshd()))
        server.sshd = Sshd(command, server.folder / "sshd_config", server.folder / "sshd.log")
        server.sshd.wait_until_up()

    def take_down(self, alias: str) -> None:
        """The same as `stop`, but what was started through its connections runs on, as when only sshd ends."""
        sshd = self._servers[alias].sshd
        if sshd:
            sshd.take_down()

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
            if server.sshd:
                server.sshd.stop()
            if server.holder:
                server.holder.close()
        if self._temporary and self.folder != Path():
            shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self) -> None:
        sshd = find_sshd()
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make_key(self.user_key)
        _make_key(self.folder / "other_key")
        if os.geteuid() == 0:
            PRIVILEGE_SEPARATION_DIR.mkdir(mode=0o755, exist_ok=True)
        options = version_options(sshd, self.user_key)
        for index, host in enumerate(self._hosts):
            folder = self.folder / f"host-{index}"
            folder.mkdir(exist_ok=True, mode=0o700)
            address = host.address or f"127.0.{index // 250}.{index % 250 + 2}"
            server = _Server(host, address, 0, folder)
            self._servers[host.alias] = server
            if host.server == "sshd":
                self._launch(sshd, server, options)
            else:
                server.holder, server.port = _bind(address, listen=host.server == "silent")
        # All start side by side; then each is waited for.
        for server in self._servers.values():
            if server.sshd:
                server.sshd.wait_until_up()
        self.known_hosts.write_text("".join(self._known_hosts_line(server) for server in self._servers.values()))
        self.ssh_config.write_text("\n".join(self._ssh_config_entry(server) for server in self._servers.values()))

    def _launch(self, sshd: Path, server: _Server, options: tuple[str, ...]) -> None:
        host, folder = server.host, server.folder
        _make_key(folder / "host_key")
        key = self.user_key if host.authorized else self.folder / "other_key"
        (folder / "authorized_keys").write_bytes(key.with_suffix(".pub").read_bytes())
        if host.address:
            server.port = OWN_ADDRESS_PORT
        else:
            server.holder, server.port = _bind(server.address, listen=False)
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
            f"UsePAM {'yes' if account_is_locked() else 'no'}",
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
        if host.home:
            # The account's own shell runs the wrapper, and must not read the person's start-up files either.
            lines.append(f"SetEnv {_ssh_word(f'HOME={host.home}')}")
        config = folder / "sshd_config"
        config.write_text("\n".join(lines) + "\n")
        server.sshd = Sshd((*host.launcher, str(sshd)), config, folder / "sshd.log")

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


def _bind(address: str, *, listen: bool) -> tuple[socket.socket, int]:
    """Return a socket bound to a free port of `address`; where it listens, the kernel accepts connections.

    Where it does not, a server may listen on the same port: both say SO_REUSEADDR, and no free port that anybody asks
    for is one that is bound.
    """
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
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
        raise FleetError("cannot make ssh keys", done.stderr.strip(), "run that command by hand", command=join(argv))
