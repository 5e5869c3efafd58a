"""A way for bytes to an ssh server: a TCP connection, or a ProxyCommand's process. The talk over it is `dial`'s."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress

from sltfleet.core.errors import ConnectError
from sltfleet.core.ssh_config import SshSettings
from sltfleet.transport.children import end_at_exit

#: Paramiko's keepalive asks for no answer, so the kernel has to notice that nothing is acknowledged any more.
LOST_AFTER_INTERVALS = 3

#: Of what a ProxyCommand prints on stderr, so much is shown: its end.
MAX_SHOWN_BYTES = 4096


def connect_error(host: str, settings: SshSettings, why: str, fix: str = "", detail: str = "") -> ConnectError:
    """Return the error for no connection to what `settings` describe, on the way to the fleet's host `host`."""
    return ConnectError(f"cannot connect to {settings.hostname} port {settings.port}", why, fix, host, detail=detail)


def no_answer(host: str, settings: SshSettings) -> ConnectError:
    """Return the error for a host that did not answer within its ConnectTimeout, or the command's deadline."""
    return connect_error(
        host,
        settings,
        f"no answer in time (ConnectTimeout is {settings.connect_timeout_s:g} s)",
        "is the machine up and the network there? ConnectTimeout in the ssh config sets how long to wait",
    )


def open_tcp(host: str, settings: SshSettings, limit_s: float) -> socket.socket:
    """Return a TCP connection, made before `limit_s` (monotonic) to an address of the name. Raises ConnectError."""
    try:
        found = socket.getaddrinfo(settings.hostname, settings.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise connect_error(
            host,
            settings,
            f"no such name: {settings.hostname} ({error.strerror})",
            f"give the ssh config an entry for it, or set `address:` for {host} in fleet.yaml",
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
        raise no_answer(host, settings) from reason
    fix = "is the machine up, and does its ssh server run on that port?"
    raise connect_error(host, settings, reason.strerror or str(reason), fix) from reason


class Proxy:
    """A running ProxyCommand; `socket` is our end of its input and output. Raises ConnectError if it does not start."""

    def __init__(self, host: str, settings: SshSettings) -> None:
        if settings.proxy_use_fdpass:
            fix = "use a ProxyCommand that passes the data on"
            raise connect_error(host, settings, "ProxyUseFdpass is not supported", fix)
        self._host = host
        self._settings = settings
        # A file, since nobody reads it while the proxy works; on the terminal it would be in the way of the display.
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the proxy
        self.socket, theirs = socket.socketpair()
        try:
            # By a shell, as OpenSSH does: the text is the person's own.
            self._process = subprocess.Popen(
                ["sh", "-c", f"exec {settings.proxy_command}"],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=self._stderr,
                start_new_session=True,
            )
        except OSError as error:
            self.socket.close()
            self._stderr.close()
            raise connect_error(host, settings, f"its ProxyCommand cannot be started: {error.strerror}") from error
        finally:
            theirs.close()
        end_at_exit(self._process)

    def failure(self) -> ConnectError | None:
        """Return the error for a proxy that has ended, None while it runs."""
        # Its end of the socket is seen to close a moment before it can be reaped.
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(0.5)
        if self._process.returncode is None:
            return None
        return connect_error(
            self._host,
            self._settings,
            f"its ProxyCommand ended with exit code {self._process.returncode}",
            f"try it by hand: {self._settings.proxy_command}",
            self._read_stderr(),
        )

    def close(self) -> None:
        """End it, its children included."""
        self.socket.close()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._stderr.close()

    def _read_stderr(self) -> str:
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - MAX_SHOWN_BYTES))
        return self._stderr.read().decode("utf-8", "surrogateescape").strip()


def _tune(sock: socket.socket, settings: SshSettings) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        lost_after_ms = round(LOST_AFTER_INTERVALS * settings.server_alive_interval_s * 1000)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, lost_after_ms)
