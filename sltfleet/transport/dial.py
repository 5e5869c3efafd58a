"""From what `ssh -G` says to an open fabric connection: proxies, jump hosts, the host's key, the login, keepalive.

This module imports fabric and paramiko, so it is imported late. Their exceptions end here, as `ConnectError`,
`HostKeyError` and `LoginError`; running commands is left to `transport.ssh`.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress

import paramiko
from fabric.config import Config
from fabric.connection import Connection
from paramiko.config import SSHConfig

from sltfleet.core.errors import ConnectError, FleetError
from sltfleet.core.ssh_config import Hop, SshSettings
from sltfleet.transport.hostkeys import HostKey, check_host_key, keys_of, read_known_hosts
from sltfleet.transport.login import Login

#: Jump hosts may have jump hosts; a config that sends them round in circles ends here.
MAX_DEPTH = 8

#: Paramiko's keepalive asks for no answer, so the kernel has to notice that nothing is acknowledged any more.
LOST_AFTER_INTERVALS = 3

Resolve = Callable[[Hop], SshSettings]

# Without a handler, Python prints paramiko's warnings and tracebacks to stderr. Its exceptions say the same.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class Link:
    """An open connection: fabric's, those of the jump hosts below it, and a ProxyCommand's process."""

    def __init__(self, connection: Connection, below: Link | None, proxy: subprocess.Popen[bytes] | None) -> None:
        self._connection = connection
        self._below = below
        self._proxy = proxy

    @property
    def connection(self) -> Connection:
        """Fabric's connection."""
        return self._connection

    @property
    def transport(self) -> paramiko.Transport:
        """Paramiko's transport, on which channels are opened."""
        transport = self._connection.transport
        assert isinstance(transport, paramiko.Transport)
        return transport

    @property
    def is_open(self) -> bool:
        """Whether the connection still stands, as far as this side knows."""
        return bool(self._connection.is_connected)

    def close(self) -> None:
        """End all of it, from the host back to this machine."""
        # Not fabric's own close(), which leaves a client alone whose login failed.
        client = self._connection.client
        assert client
        client.close()
        if self._below:
            self._below.close()
        if self._proxy:
            _end_proxy(self._proxy)


class Dialer:
    """Opens connections on behalf of one host of the fleet; `resolve` gives the settings of a jump host."""

    def __init__(self, host: str, config_file: str | None, resolve: Resolve, deadline_s: float) -> None:
        self._host = host
        self._config_file = config_file
        self._resolve = resolve
        self._deadline_s = deadline_s

    def open(self, destination: str, settings: SshSettings, via: Link | None = None, depth: int = 0) -> Link:
        """Return an open connection to `destination`, through `via` where that is given, else as the settings say.

        Raises ConnectError, HostKeyError or LoginError.
        """
        if depth > MAX_DEPTH:
            raise self._error("its jump hosts go round in circles", settings, "mend ProxyJump in the ssh config")
        if via is None:
            via = self._open_jumps(settings, depth)
        proxy: subprocess.Popen[bytes] | None = None
        link: Link | None = None
        try:
            limit_s = self._limit(settings)
            sock: socket.socket | None = None
            if via is None and settings.proxy_command:
                proxy, sock = self._start_proxy(settings)
            elif via is None:
                sock = self._dial(settings, limit_s)
            connection = self._connection(destination, settings, via, sock, limit_s)
            link = Link(connection, via, proxy)
            self._open(connection, settings, limit_s, bool(via), proxy)
            link.transport.set_keepalive(max(1, round(settings.server_alive_interval_s)))
            return link
        except BaseException:
            if link:
                link.close()
            else:
                if via:
                    via.close()
                if proxy:
                    _end_proxy(proxy)
            raise

    def _open_jumps(self, settings: SshSettings, depth: int) -> Link | None:
        via: Link | None = None
        for hop in settings.proxy_jump:
            try:
                hop_settings = self._resolve(hop)
            except FleetError:
                if via:
                    via.close()
                raise
            if _endpoint(hop_settings) == _endpoint(settings):
                continue  # "Host *" with a ProxyJump applies to the jump host, too
            via = self.open(hop.host, hop_settings, via, depth + 1)
        return via

    def _limit(self, settings: SshSettings) -> float:
        return min(self._deadline_s, time.monotonic() + settings.connect_timeout_s)

    def _connection(
        self, destination: str, settings: SshSettings, via: Link | None, sock: socket.socket | None, limit_s: float
    ) -> Connection:
        left_s = max(0.1, limit_s - time.monotonic())
        connect_kwargs: dict[str, object] = {
            "timeout": left_s,
            "banner_timeout": left_s,
            "channel_timeout": left_s,
            "transport_factory": _transport_factory(settings),
            "auth_strategy": Login(self._host, destination, settings, self._config_file, self._deadline_s),
        }
        if sock:
            connect_kwargs["sock"] = sock
        connection = Connection(  # type: ignore[no-untyped-call]
            settings.hostname,
            user=settings.user,
            port=settings.port,
            # Lazy, and with an empty ssh config: no fabric.yaml, no environment variable and no ~/.ssh/config have a
            # say.
            config=Config(lazy=True, ssh_config=SSHConfig()),  # type: ignore[no-untyped-call]
            gateway=via.connection if via else None,
            forward_agent=False,
            connect_kwargs=connect_kwargs,
            inline_ssh_env=False,
        )
        # Fabric has put AutoAddPolicy there. The client has no known hosts of its own, so this policy sees every key.
        client = connection.client
        assert client
        client.set_missing_host_key_policy(_Policy(self._host, destination, settings, self._config_file))
        return connection

    def _open(
        self,
        connection: Connection,
        settings: SshSettings,
        limit_s: float,
        jumped: bool,
        proxy: subprocess.Popen[bytes] | None,
    ) -> None:
        try:
            connection.open()  # type: ignore[no-untyped-call]
        except FleetError:
            raise
        except paramiko.ChannelException as error:
            raise self._error(f"the jump host cannot reach it: {error.text}", settings) from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            if time.monotonic() >= limit_s - 0.05:
                raise self._no_answer(settings, limit_s) from error
            if proxy and proxy.poll() is not None:
                raise self._error(
                    f"its ProxyCommand ended with exit code {proxy.returncode}",
                    settings,
                    f"try it by hand: {settings.proxy_command}",
                ) from error
            reason = str(error) or "the connection was closed before the login"
            where = "behind the jump host" if jumped else "there"
            raise self._error(
                f"no ssh conversation: {reason}", settings, f"is it an ssh server that listens {where}?"
            ) from error

    def _dial(self, settings: SshSettings, limit_s: float) -> socket.socket:
        """Return a TCP connection: each address of the name in turn, within the limit for all of them."""
        try:
            found = socket.getaddrinfo(settings.hostname, settings.port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise self._error(
                f"no such name: {settings.hostname} ({error.strerror})",
                settings,
                f"give the ssh config an entry for it, or set `address:` for {self._host} in fleet.yaml",
            ) from error
        reason: OSError = TimeoutError()
        for family, kind, protocol, _, address in found:
            left_s = limit_s - time.monotonic()
            if left_s <= 0:
                break
            sock = socket.socket(family, kind, protocol)
            try:
                sock.settimeout(left_s)
                sock.connect(address)
                _tune(sock, settings)
                return sock
            except OSError as error:
                sock.close()
                reason = error
        if isinstance(reason, TimeoutError):
            raise self._no_answer(settings, limit_s) from reason
        fix = "is the machine up, and does its ssh server run on that port?"
        raise self._error(reason.strerror or str(reason), settings, fix) from reason

    def _start_proxy(self, settings: SshSettings) -> tuple[subprocess.Popen[bytes], socket.socket]:
        """Start the ProxyCommand on one end of a socket pair, by a shell as OpenSSH does, and return the other end."""
        if settings.proxy_use_fdpass:
            raise self._error("ProxyUseFdpass is not supported", settings, "use a ProxyCommand that passes the data on")
        ours, theirs = socket.socketpair()
        try:
            proxy = subprocess.Popen(
                ["sh", "-c", f"exec {settings.proxy_command}"],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise self._error(f"its ProxyCommand cannot be started: {error.strerror}", settings) from error
        finally:
            theirs.close()
        return proxy, ours

    def _no_answer(self, settings: SshSettings, limit_s: float) -> ConnectError:
        allowed_s = settings.connect_timeout_s if limit_s < self._deadline_s else None
        within = f"within {allowed_s:g} s" if allowed_s else "in time"
        return self._error(
            f"no answer {within}",
            settings,
            "is the machine up and the network there? ConnectTimeout sets how long to wait",
        )

    def _error(self, why: str, settings: SshSettings, fix: str = "") -> ConnectError:
        return ConnectError(f"cannot connect to {settings.hostname} port {settings.port}", why, fix, self._host)


class _Policy(paramiko.MissingHostKeyPolicy):
    """Has `hostkeys` decide about every key."""

    def __init__(self, host: str, destination: str, settings: SshSettings, config_file: str | None) -> None:
        self._host = host
        self._destination = destination
        self._settings = settings
        self._config_file = config_file

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:  # noqa: ARG002
        """Return where the key is good. Raises HostKeyError."""
        presented = HostKey(key.get_name(), key.asbytes())
        check_host_key(self._host, self._destination, self._settings, self._config_file, presented)


def _transport_factory(settings: SshSettings) -> Callable[..., paramiko.Transport]:
    """Return what makes paramiko's transport: one that asks first for the key types that known_hosts has for the host.

    A host has keys of several types; asked for another one than is known, it would look like a stranger.
    """

    def make(sock: socket.socket, disabled_algorithms: dict[str, list[str]] | None = None) -> paramiko.Transport:
        transport = paramiko.Transport(sock, disabled_algorithms=disabled_algorithms)
        options = transport.get_security_options()
        keys = read_known_hosts(settings)
        about = keys_of(keys, settings.known_hosts_name) or keys_of(keys, settings.hostname)
        known = {key.key_type for key in about if not key.marker}
        # An RSA key signs in several ways, under other names than its own.
        options.key_types = sorted(
            options.key_types, key=lambda name: ("ssh-rsa" if name.startswith("rsa-") else name) not in known
        )
        return transport

    return make


def _endpoint(settings: SshSettings) -> tuple[str, int, str]:
    return settings.hostname, settings.port, settings.user


def _tune(sock: socket.socket, settings: SshSettings) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        lost_after_ms = round(LOST_AFTER_INTERVALS * settings.server_alive_interval_s * 1000)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, lost_after_ms)


def _end_proxy(proxy: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(proxy.pid, signal.SIGKILL)
    proxy.wait()
