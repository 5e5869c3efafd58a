"""Whether a host's key is the one that is known: OpenSSH's known_hosts files, and the errors that say what to do.

Paramiko's own reader knows neither markers, wildcards, negation nor line numbers, so the files are read here. The
rules are OpenSSH's (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"), with three differences, all on the safe side:

- `StrictHostKeyChecking no` is treated as `accept-new`: a key that changed is refused all the same.
- A host that is known by a key of another type is refused under `accept-new` too: its known types are asked for
first, so a host
  that shows another type no longer has the known key.
- Keys that an authority has signed (`@cert-authority`) cannot be checked by paramiko: such a host needs a line of its
own.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sltfleet.core.errors import HostKeyError
from sltfleet.core.ssh_config import (
    SSH_PORT,
    SshSettings,
    fingerprint_command,
    forget_key_command,
    login_command,
)


@dataclass(frozen=True)
class KnownKey:
    """One line of a known_hosts file. `marker` is "", "@revoked" or "@cert-authority"; `line` counts from 1."""

    path: str
    line: int
    marker: str
    patterns: tuple[str, ...]
    key_type: str
    key: bytes

    @property
    def place(self) -> str:
        """Where it stands, as compilers write it."""
        return f"{self.path}:{self.line}"


@dataclass(frozen=True)
class HostKey:
    """What a host presents: its type (`ssh-ed25519`) and the key as it travels."""

    key_type: str
    key: bytes

    @property
    def fingerprint(self) -> str:
        """SHA256:… as ssh-keygen writes it."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.key).digest()).decode().rstrip("=")


@dataclass(frozen=True)
class Known:
    """The key is in known_hosts."""


@dataclass(frozen=True)
class Unknown:
    """Nothing is known of the host; `authority` is a line that trusts signed keys for it."""

    authority: KnownKey | None = None


@dataclass(frozen=True)
class Changed:
    """The host has another key than the line `known` says, be it of the same type or not."""

    known: KnownKey


@dataclass(frozen=True)
class Revoked:
    """The line `by` says that this key must never be accepted."""

    by: KnownKey


Verdict = Known | Unknown | Changed | Revoked


def parse_known_hosts(text: str, path: str) -> list[KnownKey]:
    """Return the keys of a known_hosts file; lines that make no sense are passed over, as OpenSSH does."""
    keys = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        marker = words.pop(0) if words[0].startswith("@") else ""
        if len(words) < 3:
            continue
        try:
            key = base64.b64decode(words[2], validate=True)
        except ValueError:
            continue
        keys.append(KnownKey(path, number, marker, tuple(words[0].split(",")), words[1], key))
    return keys


def read_known_hosts(settings: SshSettings) -> list[KnownKey]:
    """Return the keys of all files that the settings name; a missing or unreadable one holds none, as for OpenSSH."""
    keys = []
    for path in (*settings.user_known_hosts_files, *settings.global_known_hosts_files):
        try:
            text = Path(path).read_text(errors="replace")
        except OSError:
            continue
        keys += parse_known_hosts(text, path)
    return keys


def keys_of(keys: Iterable[KnownKey], name: str) -> list[KnownKey]:
    """Return those of `keys` that are about the host `name` (see `SshSettings.known_hosts_name`)."""
    return [key for key in keys if _matches(key.patterns, name)]


def judge(keys: Sequence[KnownKey], settings: SshSettings, presented: HostKey) -> Verdict:
    """Return what known_hosts says about the key that a host presents."""
    about = keys_of(keys, settings.known_hosts_name)
    plain = [key for key in about if not key.marker]
    authority = next((key for key in about if key.marker == "@cert-authority"), None)
    for key in about:
        if key.marker == "@revoked" and key.key == presented.key:
            return Revoked(key)
    if any(key.key == presented.key for key in plain):
        return Known()
    if plain:
        same_type = [key for key in plain if key.key_type == presented.key_type]
        return Changed((same_type or plain)[0])
    if settings.port != SSH_PORT and not settings.host_key_alias:
        # OpenSSH also takes a key that is known without the port, where nothing is known with it.
        portless = keys_of(keys, settings.hostname)
        if any(not key.marker and key.key == presented.key for key in portless):
            return Known()
    return Unknown(authority)


def check_host_key(
    host: str, destination: str, settings: SshSettings, config_file: str | None, presented: HostKey
) -> None:
    """Return where the host's key is known, or new and to be accepted (it is then written down).

    Raises HostKeyError with what to look at and what to type.
    """
    verdict = judge(read_known_hosts(settings), settings, presented)
    if isinstance(verdict, Known):
        return
    shown = f"{presented.key_type} {presented.fingerprint}"
    name = settings.known_hosts_name
    if isinstance(verdict, Revoked):
        raise HostKeyError(
            "the host's key is revoked",
            f"{name} presents {shown}, which {verdict.by.place} revokes",
            "do not connect; ask whoever looks after the host for its new key",
            host,
        )
    if isinstance(verdict, Changed):
        known = verdict.known
        expected = f"{known.key_type} {HostKey(known.key_type, known.key).fingerprint}"
        raise HostKeyError(
            "the host's key has changed",
            f"{name} presents {shown}, but {known.place} says {expected}: "
            "the host was installed anew, or someone is between you and it",
            "ask whoever looks after the host whether its key changed; if it did: "
            f"{forget_key_command(name, known.path)}; then: {login_command(destination, config_file)}",
            host,
        )
    if settings.strict_host_key_checking in ("accept-new", "no") and verdict.authority is None:
        _add_known_host(host, settings, presented)
        return
    raise _unknown_key_error(host, destination, settings, config_file, shown, verdict.authority)


def _unknown_key_error(
    host: str, destination: str, settings: SshSettings, config_file: str | None, shown: str, authority: KnownKey | None
) -> HostKeyError:
    files = (
        ", ".join((*settings.user_known_hosts_files, *settings.global_known_hosts_files)) or "no file (none is named)"
    )
    why = f"{settings.known_hosts_name} presents {shown}, which is not in {files}"
    if authority:
        why += f"; {authority.place} trusts keys that an authority has signed, which cannot be checked here"
    if settings.known_hosts_command:
        why += "; KnownHostsCommand is not used here"
    login = login_command(destination, config_file)
    if settings.proxy_jump or settings.proxy_command:
        fix = f"{login} shows the fingerprint, asks, and adds the key"
    else:
        fix = f"compare with: {fingerprint_command(settings)}; then add it: {login}"
    return HostKeyError("the host's key is unknown", why, fix, host)


def _add_known_host(host: str, settings: SshSettings, presented: HostKey) -> None:
    """Append the key to the first of the person's files, as OpenSSH does; without any, it is accepted for now."""
    if not settings.user_known_hosts_files:
        return
    path = Path(settings.user_known_hosts_files[0])
    name = settings.known_hosts_name
    line = f"{_hashed(name, os.urandom(20)) if settings.hash_known_hosts else name} {presented.key_type} "
    line += base64.b64encode(presented.key).decode() + "\n"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            size = os.fstat(descriptor).st_size
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            # One write: other connections may be adding their hosts at the same moment.
            file.write(b"\n" * torn + line.encode())
    except OSError as error:
        raise HostKeyError(
            "the host's new key cannot be written down", f"{path}: {error.strerror}", f"make {path} writable", host
        ) from error


def _matches(patterns: Iterable[str], name: str) -> bool:
    """Whether `name` is one of the patterns and none of those with a `!`; a hashed pattern stands for one name."""
    found = False
    for pattern in patterns:
        if pattern.startswith("|1|"):
            found = found or _hash_matches(pattern, name)
        elif _glob(pattern.removeprefix("!"), name):
            if pattern.startswith("!"):
                return False
            found = True
    return found


def _glob(pattern: str, name: str) -> bool:
    # Brackets stand for themselves here ("[host]:2222"), so this is not fnmatch's language.
    text = "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern)
    return re.fullmatch(text, name, re.IGNORECASE) is not None


def _hash_matches(pattern: str, name: str) -> bool:
    try:
        salt = base64.b64decode(pattern.split("|")[2], validate=True)
    except (ValueError, IndexError):
        return False
    return hmac.compare_digest(_hashed(name, salt).encode(), pattern.encode("utf-8", "surrogateescape"))


def _hashed(name: str, salt: bytes) -> str:
    """Return `|1|salt|HMAC-SHA1(salt, name)`, OpenSSH's hashed form of a host's name."""
    digest = hmac.new(salt, name.encode("utf-8", "surrogateescape"), hashlib.sha1).digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"
