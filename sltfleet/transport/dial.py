"""From what `ssh -G` says to an open fabric connection: jump hosts, the host's key, the login, keepalive.

This module imports fabric and paramiko, so it is imported late. Their exceptions end here, as `ConnectError`,
`HostKeyError` and `LoginError`; running commands is left to `transport.ssh`.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack

import paramiko
from fabric.config import Config
from fabric.connection import Connection
from paramiko.config import SSHConfig

from sltfleet.core.errors import FleetError
from sltfleet.core.ssh_config import Hop, SshSettings
from sltfleet.transport.hostkeys import HostKey, check_host_key, keys_of, read_known_hosts
from sltfleet.transport.login import Login
from sltfleet.transport.sockets import Proxy, connect_error, no_answer, open_tcp

#: Jump hosts may have jump hosts; a config that sends them round in circles ends here.
MAX_DEPTH = 8

Resolve = Callable[[Hop], SshSettings]

# Without a handler, Python prints paramiko's warnings and tracebacks to stderr. Its exceptions say the same.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class Link:
    """An open connection, with all that it stands on (sockets, a proxy's process, the links to jump hosts)."""

    def __init__(self, connection: Connection, below: ExitStack) -> None:
        self.connection = connection
        self._below = below

    @property
    def transport(self) -> paramiko.Transport:
        """Paramiko's transport, on which channels are opened."""
        transport = self.connection.transport
        assert isinstance(transport, paramiko.Transport)
        return transport

    @property
    def is_open(self) -> bool:
        """Whether the connection still stands, as far as this side knows."""
        return bool(self.connection.is_connected)

    def close(self) -> None:
        """End all of it, from the host back to this machine. Calling it twice does no harm."""
        self._below.close()


class Dialer:
    """Opens connections on behalf of one host of the fleet; `resolve` gives the settings of a jump host."""

    def __init__(self, host: str, config_file: str | None, resolve: Resolve, deadline_s: float) -> None:
        self._host = host
        self._config_file = config_file
        self._resolve = resolve
        self._deadline_s = deadline_s

    def open(self, destination: str, settings: SshSettings, via: Link | None = None, depth: int = 0) -> Link:
        """Return an open connection to `destination`, through `via` where that is given, else as the settings say.

        `via` belongs to the connection then. Raises ConnectError, HostKeyError or LoginError.
        """
        with ExitStack() as below:
            if via is None:
                via = self._open_jumps(settings, depth)
            if via:
                below.callback(via.close)
            limit_s = min(self._deadline_s, time.monotonic() + settings.connect_timeout_s)
            proxy: Proxy | None = None
            sock: socket.socket | None = None
            if via is None and settings.proxy_command:
                proxy = Proxy(self._host, settings)
                below.callback(proxy.close)
                sock = proxy.socket
            elif via is None:
                sock = open_tcp(self._host, settings, limit_s)
                below.callback(sock.close)
            connection = self._connection(destination, settings, via, sock, limit_s)
            client = connection.client
            assert client
            # Not fabric's own close(), which leaves a client alone whose login failed.
            below.callback(client.close)
            # Fabric has put AutoAddPolicy there. The client has no known hosts of its own, so this sees every key.
            client.set_missing_host_key_policy(_Policy(self._host, destination, settings, self._config_file))
            self._talk(connection, settings, limit_s, proxy)
            link = Link(connection, below.pop_all())
        link.transport.set_keepalive(max(1, round(settings.server_alive_interval_s)))
        return link

    def _open_jumps(self, settings: SshSettings, depth: int) -> Link | None:
        if depth > MAX_DEPTH:
            why = "its jump hosts go round in circles"
            raise connect_error(self._host, settings, why, "mend ProxyJump in the ssh config")
        with ExitStack() as opened:
            via: Link | None = None
            for hop in settings.proxy_jump:
                hop_settings = self._resolve(hop)
                if _endpoint(hop_settings) == _endpoint(settings):
                    continue  # "Host *" with a ProxyJump applies to the jump host, too
                via = self.open(hop.host, hop_settings, via, depth + 1)
                opened.callback(via.close)
            opened.pop_all()
        return via

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
        return Connection(  # type: ignore[no-untyped-call]
            settings.hostname,
            user=settings.user,
            port=settings.port,
            # Lazy, and with an empty ssh config: no fabric.yaml, environment variable or ~/.ssh/config has a say.
            config=Config(lazy=True, ssh_config=SSHConfig()),  # type: ignore[no-untyped-call]
            gateway=via.connection if via else None,
            forward_agent=False,
            connect_kwargs=connect_kwargs,
            inline_ssh_env=False,
        )

    def _talk(self, connection: Connection, settings: SshSettings, limit_s: float, proxy: Proxy | None) -> None:
        """Have fabric shake hands and log in. Our own errors come through it as they are."""
        try:
            connection.open()  # type: ignore[no-untyped-call]
        except FleetError:
            raise
        except paramiko.ChannelException as error:
            why = f"the jump host cannot reach it: {error.text}"
            raise connect_error(self._host, settings, why, "is the machine up, as seen from the jump host?") from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            if time.monotonic() >= limit_s - 0.05:
                raise no_answer(self._host, settings) from error
            failure = proxy.failure() if proxy else None
            if failure:
                raise failure from error
            reason = str(error) or "the connection was closed before the login"
            fix = "does an ssh server listen on that port?"
            raise connect_error(self._host, settings, f"no ssh conversation: {reason}", fix) from error


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
