"""A host over ssh: `ssh -G` says how OpenSSH would reach it, fabric connects, and scripts run by the host's `sh`.

The connection is made when it is first needed and again when it was lost. Fabric is imported only then
(`transport.dial`). The login shell, whichever it is, sees the words `sh -c 'sh; exit $?'` and nothing else: the
script follows on standard input.
"""

from __future__ import annotations

import getpass
import os
import pwd
import select
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sltfleet.core.errors import CommandTimeout, ConnectError, HostError
from sltfleet.core.shell import SHELL_COMMAND, Script, join, script_input
from sltfleet.core.ssh_config import (
    Hop,
    LocalUser,
    SshSettings,
    is_safe_for_jumps,
    login_command,
    parse_settings,
    rsync_prefix,
    settings_argv,
    ssh_argv,
)
from sltfleet.transport import login_filter
from sltfleet.transport.base import CommandResult, LineSink, RsyncEndpoint
from sltfleet.transport.capture import Capture, never_began, new_sentinel

if TYPE_CHECKING:
    import paramiko

    from sltfleet.transport.dial import Link

#: The outer shell outlives the one that runs the script, and turns a signal into 128 + N: paramiko does not tell of
#: signals.
REMOTE_COMMAND = join([SHELL_COMMAND, "-c", f"{SHELL_COMMAND}; exit $?"])

#: `ssh -G` reads files, and may run what `Match exec` names.
SETTINGS_TIMEOUT_S = 20.0

#: A channel on a connection that stands is a matter of one round trip.
CHANNEL_TIMEOUT_S = 15.0

_READ_BYTES = 256 * 1024


class SshTransport:
    """Runs scripts on a host over ssh. See `transport.base.Transport`."""

    def __init__(self, host: str, destination: str, ssh_config: Path | None) -> None:
        self._host = host
        self._destination = destination
        self._config_file = None if ssh_config is None else str(ssh_config)
        self._settings: SshSettings | None = None
        self._link: Link | None = None
        #: Whether the login shell has ever printed something before a script.
        self._noisy = False

    @property
    def host(self) -> str:
        """The host's name in fleet.yaml."""
        return self._host

    def run(self, script: Script, *, timeout_s: float, on_line: LineSink | None = None) -> CommandResult:
        """Run `script` by `sh` on the host. When the deadline passes, a watched script sees its descriptor 3 end."""
        started_s = time.monotonic()
        deadline_s = started_s + timeout_s
        sentinel = new_sentinel()
        text = script_input(script, sentinel)
        stdout, stderr = Capture(sentinel, on_line), Capture(sentinel)
        channel = self._open_channel(deadline_s)
        try:
            exit_code = self._converse(channel, text, script.watched, stdout, stderr, deadline_s, timeout_s)
        finally:
            channel.close()
        if not stdout.started:
            fix = f"look at: {login_command(self._destination, self._config_file)}"
            raise never_began(self._host, exit_code, stdout, stderr, fix)
        stdout.finish()
        self._noisy = self._noisy or bool(stdout.noise)
        return CommandResult(
            exit_code=exit_code,
            stdout=stdout.text,
            stderr=stderr.text,
            noise=stdout.noise,
            duration_s=time.monotonic() - started_s,
        )

    def rsync_endpoint(self) -> RsyncEndpoint:
        """Return how rsync's ssh reaches the host: by the same config, through a filter where its shell is chatty."""
        settings = self._read_own_settings(time.monotonic() + SETTINGS_TIMEOUT_S)
        if settings.proxy_jump and self._config_file and not is_safe_for_jumps(self._config_file):
            raise HostError(
                "rsync cannot go through the jump host",
                f"OpenSSH hands the path of the ssh config on without quotes, and it needs some: {self._config_file}",
                "give the ssh config a path of letters, digits and slashes",
                self._host,
            )
        rsh = ssh_argv(settings, self._config_file)
        if self._noisy:
            # By its path and isolated: `-m` would need the package on the path of wherever rsync runs.
            program = str(Path(login_filter.__file__).resolve())
            rsh = [sys.executable, "-I", program, new_sentinel(), str(len(rsh)), *rsh]
        return RsyncEndpoint(prefix=rsync_prefix(self._destination), rsh=tuple(rsh))

    def close(self) -> None:
        """End the connection, if there is one."""
        link, self._link = self._link, None
        if link:
            link.close()

    def _open_channel(self, deadline_s: float) -> paramiko.Channel:
        """Return a channel on which the shell runs. A connection that turns out to be lost is made anew, once."""
        if self._link and self._link.is_open:
            try:
                return self._start_shell(self._link, deadline_s)
            except ConnectError:
                if time.monotonic() >= deadline_s:
                    raise
        self.close()
        self._link = self._connect(deadline_s)
        return self._start_shell(self._link, deadline_s)

    def _connect(self, deadline_s: float) -> Link:
        settings = self._read_own_settings(deadline_s)
        from sltfleet.transport.dial import Dialer

        def resolve(hop: Hop) -> SshSettings:
            return self._read_settings(hop.host, deadline_s, user=hop.user, port=hop.port)

        return Dialer(self._host, self._config_file, resolve, deadline_s).open(self._destination, settings)

    def _start_shell(self, link: Link, deadline_s: float) -> paramiko.Channel:
        import paramiko

        try:
            channel = link.transport.open_session(timeout=_left(deadline_s, CHANNEL_TIMEOUT_S))
            channel.exec_command(REMOTE_COMMAND)
        except (paramiko.SSHException, OSError, EOFError) as error:
            reason = str(error) or "the connection is gone"
            fix = f"see whether you get a shell there: {login_command(self._destination, self._config_file)}"
            raise ConnectError("cannot start a shell on the host", reason, fix, self._host) from error
        return channel

    def _converse(
        self,
        channel: paramiko.Channel,
        text: bytes,
        watched: bool,
        stdout: Capture,
        stderr: Capture,
        deadline_s: float,
        timeout_s: float,
    ) -> int:
        """Send the script while reading both streams, until they end; return the exit code."""
        sender = threading.Thread(target=_send, args=(channel, text, watched), name=f"send {self._host}", daemon=True)
        sender.start()
        poller = select.poll()
        poller.register(channel.fileno(), select.POLLIN)
        while True:
            # Asked before reading: what comes after the answer is read in the next round.
            ended = channel.eof_received or channel.closed
            readable, readable_stderr = channel.recv_ready(), channel.recv_stderr_ready()
            if readable:
                stdout.feed(channel.recv(_READ_BYTES))
            if readable_stderr:
                stderr.feed(channel.recv_stderr(_READ_BYTES))
            idle = not readable and not readable_stderr
            if idle and ended:
                break
            # In every round: output without an end must not hold up the deadline.
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise self._timed_out(timeout_s)
            if idle:
                poller.poll(left_s * 1000)
        if not channel.status_event.wait(_left(deadline_s)):
            raise self._timed_out(timeout_s)
        if channel.exit_status < 0:
            raise self._ended_without_status(channel)
        return channel.exit_status

    def _ended_without_status(self, channel: paramiko.Channel) -> HostError:
        transport = channel.get_transport()
        # The transport's thread closes its channels just before it says that it is no longer active.
        transport.join(0.5)
        if transport.is_active():
            return HostError(
                "the shell on the host was killed",
                "it ended without an exit code",
                "is the host out of memory?",
                self._host,
            )
        return ConnectError(
            "the connection was lost while a command ran",
            "the host, its ssh server or the network went away",
            "what the command did so far is not known; try again when the host answers",
            self._host,
        )

    def _timed_out(self, timeout_s: float) -> CommandTimeout:
        return CommandTimeout(
            "the command did not end in time",
            f"it was given up after {timeout_s:g} s",
            "is the host overloaded, or a disk there dead? `top` tells",
            self._host,
        )

    def _read_own_settings(self, deadline_s: float) -> SshSettings:
        if self._settings is None:
            self._settings = self._read_settings(self._destination, deadline_s)
        return self._settings

    def _read_settings(
        self, destination: str, deadline_s: float, *, user: str | None = None, port: int | None = None
    ) -> SshSettings:
        argv = settings_argv(destination, self._config_file, user=user, port=port)
        what, command = f"cannot read the ssh settings for {destination}", join(argv)
        try:
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_left(deadline_s, SETTINGS_TIMEOUT_S),
                check=False,
            )
        except FileNotFoundError:
            fix = "apt-get install openssh-client (as root)"
            raise HostError(what, "there is no ssh on the PATH", fix, self._host, command) from None
        except subprocess.TimeoutExpired:
            fix = "a `Match exec` of the ssh config may hang"
            raise HostError(what, "`ssh -G` did not end in time", fix, self._host, command) from None
        if done.returncode != 0:
            why = done.stderr.decode("utf-8", "surrogateescape").strip()
            raise HostError(what, why, "mend the ssh config, or name another with --ssh-config", self._host, command)
        try:
            return parse_settings(done.stdout.decode("utf-8", "surrogateescape"), local_user())
        except ValueError as error:
            raise HostError(what, str(error), "look at what that command prints", self._host, command) from error


def local_user() -> LocalUser:
    """Return who runs ssh here, as OpenSSH sees it."""
    uid = os.getuid()
    try:
        account = pwd.getpwuid(uid)
        name, home = account.pw_name, account.pw_dir
    except KeyError:  # a container's user without an account; ssh itself would refuse to run
        name, home = getpass.getuser(), str(Path.home())
    return LocalUser(name=name, uid=uid, home=home, host_name=socket.gethostname(), environment=dict(os.environ))


def _left(deadline_s: float, at_most_s: float = float("inf")) -> float:
    return max(0.1, min(at_most_s, deadline_s - time.monotonic()))


def _send(channel: paramiko.Channel, text: bytes, watched: bool) -> None:
    """Send the script; in a thread of its own, since the host takes it only as fast as its output is read.

    A watched script's input stays open until the channel is closed.
    """
    # The shell may be gone before it has read all; what it printed, and its exit code, then tell why.
    with suppress(OSError):
        channel.sendall(text)
        if not watched:
            channel.shutdown_write()
