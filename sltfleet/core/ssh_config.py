"""What OpenSSH would do: the argv of `ssh -G` beside the parser of what it prints, and those of its other programs.

`ssh -G DESTINATION` resolves Include, Match, Host patterns and the defaults; fabric and rsync are both given what it
says. It prints some values as they stand in the file (`~`, `%h`, `${HOME}` in IdentityFile) and others resolved;
`parse_settings` returns all of them resolved. Running `ssh -G` and reading the files are left to `transport.ssh`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sltfleet.core.shell import join

#: Where the person's config names none. OpenSSH's own default is the kernel's, about two minutes.
DEFAULT_CONNECT_TIMEOUT_S = 10.0

#: Where the person's config names none: often enough to keep a NAT entry alive and to notice a lost host.
DEFAULT_SERVER_ALIVE_INTERVAL_S = 15.0

#: The standard port, which known_hosts does not write down.
SSH_PORT = 22

StrictHostKeyChecking = Literal["yes", "ask", "accept-new", "no"]


@dataclass(frozen=True)
class LocalUser:
    """Who runs ssh here: what `~`, `%u`, `${NAME}` stand for. `home` is the account's, since OpenSSH ignores $HOME."""

    name: str
    uid: int
    home: str
    host_name: str
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Hop:
    """One jump host of `ProxyJump`, as a destination of ssh's own; None where the config decides."""

    host: str
    user: str | None = None
    port: int | None = None


@dataclass(frozen=True)
class SshSettings:
    """What `ssh -G` says about one destination. Paths have neither `~` nor tokens left; empty means none."""

    #: As it was asked for, without the user.
    original_host: str
    hostname: str
    user: str
    port: int = SSH_PORT
    identity_files: tuple[str, ...] = ()
    certificate_files: tuple[str, ...] = ()
    identities_only: bool = False
    #: The agent's socket.
    identity_agent: str = ""
    #: From this machine on: the last one opens the connection to the host.
    proxy_jump: tuple[Hop, ...] = ()
    #: Text for a shell, tokens resolved.
    proxy_command: str = ""
    proxy_use_fdpass: bool = False
    user_known_hosts_files: tuple[str, ...] = ()
    global_known_hosts_files: tuple[str, ...] = ()
    known_hosts_command: str = ""
    strict_host_key_checking: StrictHostKeyChecking = "ask"
    host_key_alias: str = ""
    hash_known_hosts: bool = False
    connect_timeout_s: float = DEFAULT_CONNECT_TIMEOUT_S
    server_alive_interval_s: float = DEFAULT_SERVER_ALIVE_INTERVAL_S

    @property
    def known_hosts_name(self) -> str:
        """The host's name in known_hosts: an alias is taken as it is, a port other than 22 is added."""
        if self.host_key_alias:
            return self.host_key_alias
        return self.hostname if self.port == SSH_PORT else f"[{self.hostname}]:{self.port}"


def settings_argv(
    destination: str, config_file: str | None, *, user: str | None = None, port: int | None = None
) -> list[str]:
    """Return the argv that prints the settings for `destination`; `config_file` is None for ssh's own files."""
    argv = ["ssh", "-G", *_config_words(config_file)]
    if user is not None:
        argv += ["-l", user]
    if port is not None:
        argv += ["-p", str(port)]
    return [*argv, "--", destination]


def parse_settings(output: str, me: LocalUser) -> SshSettings:
    """Return what `ssh -G` printed. Raises ValueError where host, user or port are not there or no use."""
    single: dict[str, str] = {}
    identities: list[str] = []
    certificates: list[str] = []
    for line in output.splitlines():
        key, _, value = line.partition(" ")
        if key == "identityfile":
            identities.append(value)
        elif key == "certificatefile":
            certificates.append(value)
        else:
            single.setdefault(key.lower(), value)
    for key in ("hostname", "user", "port"):
        if not single.get(key):
            raise ValueError(f"`ssh -G` printed no {key}")
    hostname, user, port = single["hostname"], single["user"], int(single["port"])
    # `host` is printed since OpenSSH 9.1.
    original_host = single.get("host", hostname)
    alias = _optional(single.get("hostkeyalias"))
    jump = _optional(single.get("proxyjump"))
    tokens = {
        "%": "%",
        "h": hostname,
        "n": original_host,
        "p": str(port),
        "r": user,
        "u": me.name,
        "i": str(me.uid),
        "d": me.home,
        "l": me.host_name,
        "L": me.host_name.partition(".")[0],
        "k": alias or original_host,
        "j": jump,
    }

    def expanded(values: list[str]) -> tuple[str, ...]:
        return tuple(_expand_path(value, tokens, me) for value in values if value != "none")

    return SshSettings(
        original_host=original_host,
        hostname=hostname,
        user=user,
        port=port,
        identity_files=expanded(identities),
        certificate_files=expanded(certificates),
        identities_only=_yes(single.get("identitiesonly")),
        identity_agent=_agent_socket(single.get("identityagent", "SSH_AUTH_SOCK"), me),
        proxy_jump=tuple(_hop(_expand_tokens(hop, tokens)) for hop in jump.split(",")) if jump else (),
        proxy_command=_expand_tokens(_optional(single.get("proxycommand")), tokens),
        proxy_use_fdpass=_yes(single.get("proxyusefdpass")),
        user_known_hosts_files=_known_hosts_files(single.get("userknownhostsfile", ""), me),
        global_known_hosts_files=_known_hosts_files(single.get("globalknownhostsfile", ""), me),
        known_hosts_command=_optional(single.get("knownhostscommand")),
        strict_host_key_checking=_strictness(single.get("stricthostkeychecking", "ask")),
        host_key_alias=alias,
        hash_known_hosts=_yes(single.get("hashknownhosts")),
        connect_timeout_s=_seconds(single.get("connecttimeout"), DEFAULT_CONNECT_TIMEOUT_S),
        server_alive_interval_s=_seconds(single.get("serveraliveinterval"), DEFAULT_SERVER_ALIVE_INTERVAL_S),
    )


def ssh_argv(settings: SshSettings, config_file: str | None) -> list[str]:
    """Return the argv of OpenSSH's client that rsync is given: it asks nothing, forwards nothing and does not hang.

    ControlMaster stays as the person's config has it. `StrictHostKeyChecking no` becomes `accept-new`, as in
    `transport.hostkeys`.
    """
    options = [
        "BatchMode=yes",
        f"ConnectTimeout={max(1, round(settings.connect_timeout_s))}",
        f"ServerAliveInterval={max(1, round(settings.server_alive_interval_s))}",
        "ForwardAgent=no",
        "ForwardX11=no",
        "ClearAllForwardings=yes",
        # Either would break a command that speaks a protocol.
        "RemoteCommand=none",
        "RequestTTY=no",
    ]
    if settings.strict_host_key_checking == "no":
        options.append("StrictHostKeyChecking=accept-new")
    return ["ssh", *_config_words(config_file), *(word for option in options for word in ("-o", option))]


def is_safe_for_jumps(config_file: str) -> bool:
    """Whether OpenSSH can go through jump hosts with this `-F`, which it pastes unquoted into a shell command."""
    return re.fullmatch(r"[\w@+=:,./-]+", config_file, re.ASCII) is not None


def rsync_prefix(destination: str) -> str:
    """Return what stands before a path on the host in rsync's arguments: the destination and a colon.

    An IPv6 address goes into brackets, which rsync takes off again.
    """
    user, at, host = destination.rpartition("@")
    return f"{user}{at}[{host}]:" if ":" in host and not host.startswith("[") else f"{destination}:"


def login_command(destination: str, config_file: str | None) -> str:
    """Return shell text that logs in as a person does: it asks about an unknown key and for a passphrase."""
    return join(["ssh", *_config_words(config_file), destination])


def fingerprint_command(settings: SshSettings) -> str:
    """Return shell text that shows the fingerprints of the keys that the host presents."""
    port = [] if settings.port == SSH_PORT else ["-p", str(settings.port)]
    return f"{join(['ssh-keyscan', *port, settings.hostname])} | {join(['ssh-keygen', '-lf', '-'])}"


def forget_key_command(name: str, known_hosts_file: str) -> str:
    """Return shell text that removes the keys of the host `name` from a known_hosts file."""
    return join(["ssh-keygen", "-R", name, "-f", known_hosts_file])


def _config_words(config_file: str | None) -> list[str]:
    return [] if config_file is None else ["-F", config_file]


def _optional(value: str | None) -> str:
    return "" if value is None or value == "none" else value


def _yes(value: str | None) -> bool:
    return value in ("yes", "true")


def _seconds(value: str | None, default: float) -> float:
    """`none`, and the 0 that means never, give the default: this program does not wait without a limit."""
    return float(value) if value and value.isdigit() and int(value) > 0 else default


def _strictness(value: str) -> StrictHostKeyChecking:
    # `ssh -G` prints `true` and `false` for what the file calls `yes` and `no` or `off`.
    if value in ("true", "yes"):
        return "yes"
    if value in ("false", "no", "off"):
        return "no"
    return "accept-new" if value == "accept-new" else "ask"


def _known_hosts_files(value: str, me: LocalUser) -> tuple[str, ...]:
    """Return the files of a list that `ssh -G` prints with its tokens resolved, spaces between, and no quotes.

    Names with spaces cannot be told apart for certain: a word that does not begin like a path belongs to the one
    before it.
    """
    paths: list[str] = []
    for word in value.split(" "):
        if paths and not word.startswith(("/", "~")):
            paths[-1] += f" {word}"
        else:
            paths.append(word)
    return tuple(_expand_home(path, me) for path in paths if path and path != "none")


def _expand_tokens(text: str, tokens: Mapping[str, str]) -> str:
    """Return `text` with `%h` and the like resolved; an unknown token stays, and shows in the error that follows."""
    return re.sub(r"%(.)", lambda found: tokens.get(found[1], found[0]), text)


def _expand_path(text: str, tokens: Mapping[str, str], me: LocalUser) -> str:
    text = re.sub(r"\$\{(\w+)\}", lambda found: me.environment.get(found[1], found[0]), _expand_tokens(text, tokens))
    return _expand_home(text, me)


def _expand_home(text: str, me: LocalUser) -> str:
    return me.home + text[1:] if text == "~" or text.startswith("~/") else text


def _agent_socket(value: str, me: LocalUser) -> str:
    """Return the path of the agent's socket: IdentityAgent may be a path, `none`, `SSH_AUTH_SOCK` or `$NAME`."""
    if value == "none":
        return ""
    if value == "SSH_AUTH_SOCK":
        return me.environment.get("SSH_AUTH_SOCK", "")
    if value.startswith("$") and not value.startswith("${"):
        return me.environment.get(value[1:], "")
    return _expand_home(value, me)  # `ssh -G` has resolved its tokens


def _hop(text: str) -> Hop:
    """Return one jump host of a ProxyJump: `[user@]host[:port]`, an IPv6 address in brackets, or an ssh:// URI."""
    user, _, place = text.strip().removeprefix("ssh://").rstrip("/").rpartition("@")
    found = re.fullmatch(r"(?:\[(?P<bracketed>[^\]]+)\]|(?P<plain>[^:]+))(?::(?P<port>[0-9]+))?", place)
    if found is None:
        return Hop(place, user or None)  # an IPv6 address without brackets
    return Hop(found["bracketed"] or found["plain"], user or None, int(found["port"]) if found["port"] else None)
