"""Proving who we are to a host, in OpenSSH's order: the agent's keys that files name, its others, then key files.

Nothing is asked of the person: a passphrase belongs to the agent. Everything that was tried is kept, so that a
refusal can be understood. The connection is `transport.dial`'s matter.
"""

from __future__ import annotations

import base64
import hashlib
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import paramiko
from paramiko.agent import AgentSSH

from sltfleet.core.errors import ConnectError, LoginError
from sltfleet.core.shell import join
from sltfleet.core.ssh_config import SshSettings, login_command
from sltfleet.transport.keyfile import KeyFile, read_key_file

#: A key that is in the agent but that the person must confirm, or touch, takes so long at most.
AGENT_TIMEOUT_S = 30.0

#: All keys together, where the command's own deadline is later.
LOGIN_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class _Candidate:
    """A key to try, and how to call it."""

    key: paramiko.PKey
    label: str


class Agent(AgentSSH):
    """The agent behind one socket; paramiko's own knows the environment's only. Raises OSError or SSHException."""

    def __init__(self, path: str) -> None:
        super().__init__()
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(AGENT_TIMEOUT_S)
            connection.connect(path)
            # What paramiko's own subclass calls; its type stubs leave it out.
            self._connect(connection)  # type: ignore[attr-defined]
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        """End the connection to the agent."""
        self._close()  # type: ignore[attr-defined]


class Login:
    """One login to one host; paramiko calls `authenticate` once the host's key is verified."""

    def __init__(
        self, host: str, destination: str, settings: SshSettings, config_file: str | None, deadline_s: float
    ) -> None:
        self._host = host
        self._destination = destination
        self._settings = settings
        self._config_file = config_file
        self._deadline_s = deadline_s
        #: How many keys the host has seen.
        self._offered = 0
        #: What was tried, or could not be, for the error.
        self._tried: list[str] = []
        self._fixes: list[str] = []
        self._agent: Agent | None = None

    def authenticate(self, transport: paramiko.Transport) -> None:
        """Log in. Raises LoginError, or ConnectError where the host does not answer in time."""
        self._deadline_s = min(self._deadline_s, time.monotonic() + LOGIN_TIMEOUT_S)
        try:
            self._authenticate(transport)
        finally:
            if self._agent:
                self._agent.close()

    def _authenticate(self, transport: paramiko.Transport) -> None:
        user = self._settings.user
        try:
            self._limit(transport)
            # As OpenSSH does: some hosts know who we are from elsewhere, and the others name what they accept.
            transport.auth_none(user)
            return
        except paramiko.BadAuthenticationType as refusal:
            methods = list(refusal.allowed_types)
        except (paramiko.SSHException, EOFError) as error:
            raise self._broken_off(transport, error) from error
        if "publickey" not in methods:
            raise self._error(f"the host accepts no keys, only: {', '.join(methods)}", "have it accept public keys")
        for candidate in self._candidates():
            try:
                self._limit(transport)
                self._offered += 1
                further = transport.auth_publickey(user, candidate.key)
            except (paramiko.SSHException, EOFError, OSError) as error:
                if not transport.is_active() or time.monotonic() >= self._deadline_s:
                    self._tried.append(f"{candidate.label}: the host ended the connection")
                    raise self._broken_off(transport, error) from error
                self._tried.append(f"{candidate.label}: refused")
                continue
            if not further:
                return
            raise self._error(
                f"it accepts {candidate.label}, but then asks for {', '.join(further)}, which only a person can give",
                "let this account log in with a key alone",
            )
        raise self._error(f"none of the keys is accepted for the user {user}")

    def _candidates(self) -> Iterator[_Candidate]:
        settings = self._settings
        files = [self._key_file(path) for path in settings.identity_files]
        readable = [file for file in files if file]
        named = {file.public: file for file in readable if file.public}
        in_agent = self._agent_keys()
        listed = [key for key in in_agent if key.asbytes() in named]
        others = [] if settings.identities_only else [key for key in in_agent if key.asbytes() not in named]
        for key in (*listed, *others):
            file = named.get(key.asbytes())
            yield _Candidate(key, f"{_label(key)} of the agent ({file.path if file else key.comment or 'no comment'})")
        if settings.identities_only and len(in_agent) > len(listed):
            self._tried.append(f"{len(in_agent) - len(listed)} other keys of the agent: not tried (IdentitiesOnly yes)")
        held = {key.asbytes() for key in listed}
        for file in readable:
            if file.public not in held and (loaded := self._load(file)):
                yield _Candidate(loaded, f"{_label(loaded)} ({file.path})")
        for path in settings.certificate_files:
            if Path(path).exists() and path not in {f"{file.path}-cert.pub" for file in readable}:
                self._tried.append(f"{path}: not used; a certificate is found beside its key, as KEY-cert.pub")

    def _agent_keys(self) -> tuple[paramiko.AgentKey, ...]:
        path = self._settings.identity_agent
        if not path:
            return ()
        try:
            self._agent = Agent(path)
        except (OSError, paramiko.SSHException) as error:
            self._tried.append(f"the agent at {path}: {error}")
            return ()
        return tuple(self._agent.get_keys())

    def _key_file(self, path: str) -> KeyFile | None:
        try:
            return read_key_file(path)
        except FileNotFoundError:
            self._tried.append(f"{path}: not there")
        except OSError as error:
            self._tried.append(f"{path}: {error.strerror}")
        return None

    def _load(self, file: KeyFile) -> paramiko.PKey | None:
        """Return the private key of a file, None where it cannot be used; the reason is kept."""
        if not file.private:
            self._tried.append(f"{file.path}: a public key, whose private key is not in the agent")
        elif file.key_type.startswith("sk-"):
            self._tried.append(
                f"{file.path}: a key on a security token (FIDO), which can be used through the agent only"
            )
            self._fixes.append(join(["ssh-add", file.path]))
        elif file.encrypted:
            self._tried.append(f"{file.path}: has a passphrase, and is not in the agent")
            self._fixes.append(join(["ssh-add", file.path]))
        else:
            try:
                return paramiko.PKey.from_path(file.path)
            # The library below raises its own types for what it does not know (DSA, say) and for damaged files.
            except Exception as error:  # noqa: BLE001
                self._tried.append(f"{file.path}: cannot be read ({str(error) or type(error).__name__})")
        return None

    def _limit(self, transport: paramiko.Transport) -> None:
        transport.auth_timeout = max(0.1, self._deadline_s - time.monotonic())

    def _broken_off(self, transport: paramiko.Transport, error: Exception) -> LoginError | ConnectError:
        if time.monotonic() >= self._deadline_s:
            fix = f"see where it waits: {login_command(self._destination, self._config_file)}"
            return ConnectError("the login did not end in time", f"as {self._settings.user}", fix, self._host)
        if not transport.is_active() and self._offered > 1:
            return self._error(
                f"the host gave up after {self._offered} keys",
                "name the right key in the ssh config: IdentityFile PATH and IdentitiesOnly yes",
            )
        return self._error(str(error) or "the host ended the connection")

    def _error(self, why: str, fix: str = "") -> LoginError:
        fixes = list(dict.fromkeys(self._fixes))
        fallback = f"{login_command(self._destination, self._config_file)} must log in without a question"
        return LoginError(
            f"the host does not accept the login as {self._settings.user}",
            why,
            fix or "; ".join(fixes) or fallback,
            self._host,
            detail="\n".join(self._tried),
        )


def _label(key: paramiko.PKey) -> str:
    digest = base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")
    return f"{key.get_name()} SHA256:{digest}"
