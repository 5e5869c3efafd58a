"""What only ssh has, against real sshd: host keys, logins, jump hosts, silent hosts, lost connections."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sltfleet.core.errors import ConnectError, HostError, HostKeyError, LoginError
from sltfleet.core.shell import Script
from sltfleet.demo.loopback import LoopbackFleet, LoopbackHost
from sltfleet.transport.base import CommandResult
from sltfleet.transport.ssh import SshTransport
from tests.support.hosts import make_key, ssh_agent
from tests.support.waiting import wait_for

SAY_HELLO = Script("echo hello")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackFleet]:
    folder = tmp_path_factory.mktemp("odd 'fleet' \"näme\"")
    home = folder / "home"
    home.mkdir()
    more_keys = [make_key(folder / f"key_{kind}", kind=kind) for kind in ("ecdsa", "rsa")]
    host_keys = tuple(f'HostKey "{_escaped(key)}"' for key in more_keys)
    hosts = [
        LoopbackHost("plain", home=home),
        LoopbackHost("unknown", home=home, host_key="unknown"),
        LoopbackHost("changed", home=home, host_key="changed"),
        LoopbackHost("stranger", home=home, authorized=False),
        LoopbackHost("down", server="down"),
        LoopbackHost("silent", server="silent", ssh_config=("ConnectTimeout 1",)),
        LoopbackHost("many-keys", home=home, sshd_config=host_keys),
        LoopbackHost("no-shell", home=home, login_shell="/usr/sbin/nologin"),
        LoopbackHost("beyond", home=home, ssh_config=("ProxyJump plain",)),
        LoopbackHost("far-beyond", home=home, ssh_config=("ProxyJump plain,beyond",)),
        LoopbackHost("beyond-unknown", home=home, ssh_config=("ProxyJump unknown",)),
        LoopbackHost("beyond-down", server="down", ssh_config=("ProxyJump plain",)),
        LoopbackHost("circle-1", home=home, ssh_config=("ProxyJump circle-2",)),
        LoopbackHost("circle-2", home=home, ssh_config=("ProxyJump circle-1",)),
    ]
    with LoopbackFleet(hosts, folder / "fleet") as running:
        yield running


def _escaped(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace('"', '\\"')


def run(fleet: LoopbackFleet, alias: str, config: Path | None = None, timeout_s: float = 30.0) -> CommandResult:
    with contextlib.closing(SshTransport(alias, alias, config or fleet.ssh_config)) as transport:
        return transport.run(SAY_HELLO, timeout_s=timeout_s)


def config_with(fleet: LoopbackFleet, folder: Path, alias: str, *lines: str) -> Path:
    """Return an ssh config that is the fleet's with `lines` before it for one host."""
    path = folder / "ssh config"
    body = "".join(f"  {line}\n" for line in lines)
    path.write_text(f'Host {alias}\n{body}Include "{_escaped(fleet.ssh_config)}"\n')
    # An Include below `Host` would apply to that host only, which is what is wanted here.
    return path


def public_key_line(fleet: LoopbackFleet, alias: str, key: Path) -> str:
    address, port = fleet.address(alias)
    return f"[{address}]:{port} " + " ".join(key.with_suffix(".pub").read_text().split()[:2]) + "\n"


# --- the host's key -------------------------------------------------------------------------------------------------


def test_an_unknown_host_key_is_refused_and_the_error_names_the_commands_to_type(fleet: LoopbackFleet) -> None:
    with pytest.raises(HostKeyError) as caught:
        run(fleet, "unknown")
    error = caught.value
    assert str(fleet.known_hosts) in error.why
    compare = error.fix.split("compare with: ")[1].split("; then")[0]
    shown = subprocess.run(["sh", "-c", compare], capture_output=True, text=True, check=True).stdout
    fingerprint = next(word for word in error.why.split() if word.startswith("SHA256:")).rstrip(",")
    assert fingerprint in shown
    assert error.fix.endswith(" unknown")
    # Nothing was added behind the person's back, as fabric's own AutoAddPolicy would.
    with pytest.raises(HostKeyError):
        run(fleet, "unknown")


def test_a_changed_host_key_is_refused_and_the_error_names_the_line(fleet: LoopbackFleet, odd_path: Path) -> None:
    with pytest.raises(HostKeyError) as caught:
        run(fleet, "changed")
    place = next(word for word in caught.value.why.split(" says ") if "known_hosts:" in word)
    number = int(place.rpartition(":")[2])
    address, port = fleet.address("changed")
    assert fleet.known_hosts.read_text().splitlines()[number - 1].startswith(f"[{address}]:{port} ")
    assert "ssh-keygen -R" in caught.value.fix


def test_the_command_that_forgets_a_changed_key_works_as_given(fleet: LoopbackFleet, odd_path: Path) -> None:
    known_hosts = odd_path / "known_hosts"
    known_hosts.write_bytes(fleet.known_hosts.read_bytes())
    config = config_with(fleet, odd_path, "changed", f'UserKnownHostsFile "{_escaped(known_hosts)}"')
    with pytest.raises(HostKeyError) as caught:
        run(fleet, "changed", config)
    command = caught.value.fix.split("if it did: ")[1].split("; then: ")[0]
    subprocess.run(["sh", "-c", command], check=True, capture_output=True)
    with pytest.raises(HostKeyError, match="unknown"):
        run(fleet, "changed", config)


@pytest.mark.parametrize("checking", ["accept-new", "no", "off"])
@pytest.mark.parametrize("hashing", ["yes", "no"])
def test_accept_new_adds_an_unknown_key_as_openssh_reads_it(
    fleet: LoopbackFleet, odd_path: Path, checking: str, hashing: str
) -> None:
    known_hosts = odd_path / "new folder" / "known_hosts"
    line = f'UserKnownHostsFile "{_escaped(known_hosts)}"'
    config = config_with(
        fleet, odd_path, "unknown", line, f"StrictHostKeyChecking {checking}", f"HashKnownHosts {hashing}"
    )
    assert run(fleet, "unknown", config).stdout == "hello\n"
    assert known_hosts.read_text().startswith("|1|") == (hashing == "yes")
    strict = config_with(fleet, odd_path, "unknown", line, "StrictHostKeyChecking yes")
    assert run(fleet, "unknown", strict).stdout == "hello\n"
    subprocess.run(["ssh", "-F", str(strict), "-o", "BatchMode=yes", "unknown", "true"], check=True)


@pytest.mark.parametrize("checking", ["accept-new", "no"])
def test_a_changed_key_is_refused_whatever_the_config_says(fleet: LoopbackFleet, odd_path: Path, checking: str) -> None:
    with pytest.raises(HostKeyError, match="changed"):
        run(fleet, "changed", config_with(fleet, odd_path, "changed", f"StrictHostKeyChecking {checking}"))


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_a_host_is_asked_for_the_type_of_key_that_is_known(fleet: LoopbackFleet, odd_path: Path, kind: str) -> None:
    known_hosts = odd_path / "known_hosts"
    known_hosts.write_text(public_key_line(fleet, "many-keys", fleet.folder.parent / f"key_{kind}"))
    config = config_with(fleet, odd_path, "many-keys", f'UserKnownHostsFile "{_escaped(known_hosts)}"')
    assert run(fleet, "many-keys", config).stdout == "hello\n"


def test_a_host_without_the_known_type_of_key_is_refused(fleet: LoopbackFleet, odd_path: Path) -> None:
    known_hosts = odd_path / "known_hosts"
    known_hosts.write_text(public_key_line(fleet, "plain", fleet.folder.parent / "key_ecdsa"))
    lines = (f'UserKnownHostsFile "{_escaped(known_hosts)}"', "StrictHostKeyChecking accept-new")
    with pytest.raises(HostKeyError, match="changed"):
        run(fleet, "plain", config_with(fleet, odd_path, "plain", *lines))


def test_a_host_key_alias_names_the_line(fleet: LoopbackFleet, odd_path: Path) -> None:
    known_hosts = odd_path / "known_hosts"
    address, port = fleet.address("plain")
    line = next(line for line in fleet.known_hosts.read_text().splitlines() if line.startswith(f"[{address}]:{port} "))
    known_hosts.write_text(line.replace(f"[{address}]:{port}", "other-name"))
    lines = (f'UserKnownHostsFile "{_escaped(known_hosts)}"', "HostKeyAlias other-name")
    assert run(fleet, "plain", config_with(fleet, odd_path, "plain", *lines)).stdout == "hello\n"


def test_a_revoked_key_is_refused(fleet: LoopbackFleet, odd_path: Path) -> None:
    known_hosts = odd_path / "known_hosts"
    address, port = fleet.address("plain")
    line = next(line for line in fleet.known_hosts.read_text().splitlines() if line.startswith(f"[{address}]:{port} "))
    known_hosts.write_text(f"{line}\n@revoked * {line.partition(' ')[2]}\n")
    config = config_with(fleet, odd_path, "plain", f'UserKnownHostsFile "{_escaped(known_hosts)}"')
    with pytest.raises(HostKeyError, match="revoked"):
        run(fleet, "plain", config)


# --- the login ------------------------------------------------------------------------------------------------------


def test_a_key_that_is_not_accepted_is_an_error_that_lists_what_was_tried(fleet: LoopbackFleet) -> None:
    with pytest.raises(LoginError) as caught:
        run(fleet, "stranger")
    assert f"({fleet.user_key}): refused" in caught.value.detail


def test_a_key_with_a_passphrase_belongs_into_the_agent(fleet: LoopbackFleet, odd_path: Path) -> None:
    key = make_key(odd_path / "secret key", passphrase="a passphrase")
    config = config_with(
        fleet, odd_path, "stranger", f'IdentityFile "{_escaped(key)}"', 'IdentityFile "/nowhere/id_rsa"'
    )
    with pytest.raises(LoginError) as caught:
        run(fleet, "stranger", config)
    assert f"{key}: has a passphrase" in caught.value.detail
    assert "/nowhere/id_rsa: not there" in caught.value.detail
    assert "ssh-add" in caught.value.fix


def test_a_key_of_the_agent_logs_in(fleet: LoopbackFleet, odd_path: Path) -> None:
    decoys = [make_key(odd_path / f"decoy {number}") for number in range(2)]
    with ssh_agent(*decoys, fleet.user_key) as socket:
        lines = (f"IdentityAgent {socket}", "IdentitiesOnly no", "IdentityFile none")
        assert run(fleet, "plain", config_with(fleet, odd_path, "plain", *lines)).stdout == "hello\n"


def test_an_agent_with_many_keys_is_asked_for_the_named_one_only(fleet: LoopbackFleet, odd_path: Path) -> None:
    decoys = [make_key(odd_path / f"decoy {number}") for number in range(8)]
    public = fleet.user_key.with_suffix(".pub")
    with ssh_agent(*decoys, fleet.user_key) as socket:
        lines = (f"IdentityAgent {socket}", f'IdentityFile "{_escaped(public)}"', "IdentitiesOnly yes")
        assert run(fleet, "plain", config_with(fleet, odd_path, "plain", *lines)).stdout == "hello\n"


def test_an_agent_with_too_many_keys_is_an_error_that_says_so(fleet: LoopbackFleet, odd_path: Path) -> None:
    decoys = [make_key(odd_path / f"decoy {number}") for number in range(8)]
    with ssh_agent(*decoys) as socket:
        lines = (f"IdentityAgent {socket}", "IdentitiesOnly no", "IdentityFile none")
        with pytest.raises(LoginError) as caught:
            run(fleet, "plain", config_with(fleet, odd_path, "plain", *lines))
    assert "gave up after" in caught.value.why
    assert "IdentitiesOnly" in caught.value.fix


def test_an_agent_that_is_gone_is_told_of(fleet: LoopbackFleet, odd_path: Path) -> None:
    config = config_with(fleet, odd_path, "stranger", f'IdentityAgent "{_escaped(odd_path)}/gone"')
    with pytest.raises(LoginError) as caught:
        run(fleet, "stranger", config)
    assert f"the agent at {odd_path}/gone" in caught.value.detail


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_keys_of_other_types_log_in(fleet: LoopbackFleet, odd_path: Path, kind: str) -> None:
    key = make_key(odd_path / f"id_{kind}", kind=kind)
    authorized = odd_path / "authorized_keys"
    authorized.write_bytes(key.with_suffix(".pub").read_bytes())
    host = LoopbackHost("other", home=odd_path, sshd_config=(f'AuthorizedKeysFile "{_escaped(authorized)}"',))
    with LoopbackFleet([host], odd_path / "fleet") as own:
        config = config_with(own, odd_path, "other", f'IdentityFile "{_escaped(key)}"')
        assert run(own, "other", config).stdout == "hello\n"


# --- the way there --------------------------------------------------------------------------------------------------


def test_a_host_that_is_down_is_an_error_at_once(fleet: LoopbackFleet) -> None:
    started = time.monotonic()
    with pytest.raises(ConnectError, match="refused"):
        run(fleet, "down")
    assert time.monotonic() - started < 25


def test_a_host_that_never_answers_is_given_up_after_the_connect_timeout(fleet: LoopbackFleet) -> None:
    started = time.monotonic()
    with pytest.raises(ConnectError, match="ConnectTimeout is 1 s"):
        run(fleet, "silent")
    assert time.monotonic() - started < 25


def test_the_deadline_goes_before_the_connect_timeout(fleet: LoopbackFleet, odd_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(ConnectError, match="no answer"):
        run(fleet, "silent", config_with(fleet, odd_path, "silent", "ConnectTimeout 60"), timeout_s=1)
    assert time.monotonic() - started < 40


def test_a_name_that_does_not_exist_is_an_error_that_says_where_to_write_it(fleet: LoopbackFleet) -> None:
    with pytest.raises(ConnectError, match="no such name") as caught:
        run(fleet, "nowhere.invalid")
    assert "fleet.yaml" in caught.value.fix


@pytest.mark.parametrize("alias", ["beyond", "far-beyond"])
def test_jump_hosts_lead_to_a_host(fleet: LoopbackFleet, alias: str) -> None:
    before = fleet.log("plain").count("Accepted publickey")
    assert run(fleet, alias).stdout == "hello\n"
    assert fleet.log("plain").count("Accepted publickey") == before + 1


def test_rsync_is_not_sent_through_a_jump_host_where_openssh_would_stumble(fleet: LoopbackFleet) -> None:
    with pytest.raises(HostError, match="without quotes"):
        SshTransport("beyond", "beyond", fleet.ssh_config).rsync_endpoint()


def test_a_jump_host_must_be_known_too(fleet: LoopbackFleet) -> None:
    with pytest.raises(HostKeyError) as caught:
        run(fleet, "beyond-unknown")
    address, port = fleet.address("unknown")
    assert f"[{address}]:{port}" in caught.value.why


def test_a_host_that_the_jump_host_cannot_reach_is_an_error(fleet: LoopbackFleet) -> None:
    with pytest.raises(ConnectError, match="jump host cannot reach it"):
        run(fleet, "beyond-down")


def test_jump_hosts_that_go_round_in_circles_are_an_error(fleet: LoopbackFleet) -> None:
    with pytest.raises(ConnectError, match="circles"):
        run(fleet, "circle-1")


def test_a_jump_host_that_applies_to_itself_is_left_out(fleet: LoopbackFleet, odd_path: Path) -> None:
    assert run(fleet, "plain", config_with(fleet, odd_path, "plain", "ProxyJump plain")).stdout == "hello\n"


def test_a_proxy_command_leads_to_a_host(fleet: LoopbackFleet, odd_path: Path) -> None:
    short = odd_path.parent / "config"
    short.symlink_to(fleet.ssh_config)
    command = f"ProxyCommand ssh -F {short} -W %h:%p plain | cat"
    assert run(fleet, "plain", config_with(fleet, odd_path, "plain", command)).stdout == "hello\n"


def test_a_proxy_command_that_fails_is_an_error_that_names_it(fleet: LoopbackFleet, odd_path: Path) -> None:
    with pytest.raises(ConnectError, match="ProxyCommand ended with exit code 7") as caught:
        run(fleet, "plain", config_with(fleet, odd_path, "plain", "ProxyCommand sh -c 'echo no route >&2; exit 7' %h"))
    assert "127.0.0." in caught.value.fix
    assert caught.value.detail == "no route"


def test_included_files_are_obeyed(fleet: LoopbackFleet, odd_path: Path) -> None:
    config = odd_path / "config"
    config.write_text(f'Include "{_escaped(fleet.ssh_config)}"\n')
    assert run(fleet, "plain", config).stdout == "hello\n"


def test_a_broken_ssh_config_is_an_error_that_names_the_line(odd_path: Path) -> None:
    config = odd_path / "config"
    config.write_text("Host plain\n  Prot 22\n")
    with pytest.raises(HostError, match="line 2"):
        SshTransport("plain", "plain", config).rsync_endpoint()


@pytest.mark.parametrize("destination", ["-oProxyCommand=touch /tmp/owned", "", "a b"])
def test_a_destination_that_is_none_is_an_error(fleet: LoopbackFleet, destination: str) -> None:
    with pytest.raises(HostError):
        SshTransport("odd", destination, fleet.ssh_config).run(SAY_HELLO, timeout_s=10)


# --- the shell and the connection -----------------------------------------------------------------------------------


def test_an_account_without_a_shell_is_an_error_that_shows_what_it_printed(fleet: LoopbackFleet) -> None:
    with pytest.raises(HostError) as caught:
        run(fleet, "no-shell")
    assert "not available" in caught.value.detail


def test_a_connection_that_is_lost_in_mid_command_is_an_error_and_the_next_command_connects_anew(
    fleet: LoopbackFleet,
) -> None:
    with contextlib.closing(SshTransport("plain", "plain", fleet.ssh_config)) as transport:
        with pytest.raises(ConnectError, match="lost"):
            transport.run(
                Script("echo begun; cat <&3", watched=True),
                timeout_s=30,
                on_line=lambda _: drop(fleet, "plain"),
            )
        assert transport.run(SAY_HELLO, timeout_s=30).stdout == "hello\n"


def test_a_connection_that_is_lost_between_commands_is_made_anew(fleet: LoopbackFleet) -> None:
    with contextlib.closing(SshTransport("plain", "plain", fleet.ssh_config)) as transport:
        transport.run(SAY_HELLO, timeout_s=30)
        drop(fleet, "plain")
        assert transport.run(SAY_HELLO, timeout_s=30).stdout == "hello\n"


def test_nothing_is_forwarded(fleet: LoopbackFleet, odd_path: Path) -> None:
    with ssh_agent(fleet.user_key) as socket:
        lines = (f"IdentityAgent {socket}", "ForwardAgent yes", "ForwardX11 yes")
        config = config_with(fleet, odd_path, "plain", *lines)
        with contextlib.closing(SshTransport("plain", "plain", config)) as transport:
            result = transport.run(Script('echo "[$SSH_AUTH_SOCK$DISPLAY]"'), timeout_s=30)
    assert result.stdout == "[]\n"


def test_no_process_or_session_is_left_behind(fleet: LoopbackFleet) -> None:
    run(fleet, "far-beyond")
    hosts = ("plain", "beyond", "far-beyond")
    wait_for(lambda: not any(fleet.drop_sessions(alias) for alias in hosts))


def drop(fleet: LoopbackFleet, alias: str) -> None:
    """Cut the connections, and wait until they are: a process that was sent SIGKILL lives on for a moment."""
    wait_for(lambda: fleet.drop_sessions(alias) > 0)
    wait_for(lambda: fleet.drop_sessions(alias) == 0)
