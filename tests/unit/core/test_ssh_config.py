"""What `ssh -G` prints, by cases in tests/cases/ssh_config (real output), and the argv of OpenSSH's programs."""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sltfleet.core.ssh_config import (
    Hop,
    LocalUser,
    SshSettings,
    fingerprint_command,
    forget_key_command,
    is_safe_for_jumps,
    login_command,
    parse_settings,
    rsync_prefix,
    settings_argv,
    ssh_argv,
)

CASES = sorted((Path(__file__).parents[2] / "cases" / "ssh_config").glob("*.json"))

ADA = LocalUser(
    name="ada",
    uid=1000,
    home="/home/ada",
    host_name="desk.example.com",
    environment={"SSH_AUTH_SOCK": "/run/agent", "MY_AGENT": "/run/mine", "HOME": "/home/ada"},
)

PLAIN = SshSettings(original_host="box", hostname="box.example.com", user="ada")


@pytest.mark.parametrize("path", CASES, ids=[path.stem for path in CASES])
def test_what_ssh_prints_is_understood(path: Path) -> None:
    case: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    assert settings_argv(case["command"][-1], "/etc/fleet/ssh_config") == case["command"]
    settings = parse_settings("\n".join(case["output"]) + "\n", ADA)
    assert json.loads(json.dumps(asdict(settings))) == case["value"]


def test_there_are_cases() -> None:
    assert CASES


@pytest.mark.parametrize("missing", ["hostname", "user", "port"])
def test_output_without_host_user_or_port_is_refused(missing: str) -> None:
    lines = {"hostname": "hostname box", "user": "user ada", "port": "port 22"}
    del lines[missing]
    with pytest.raises(ValueError, match=missing):
        parse_settings("\n".join(lines.values()), ADA)


@given(st.text())
def test_output_of_any_shape_is_read_or_refused(noise: str) -> None:
    settings = parse_settings(f"hostname box\nuser ada\nport 22\n{noise}", ADA)
    assert settings.port == 22


def test_the_port_and_user_of_a_jump_host_go_onto_the_command_line() -> None:
    assert settings_argv("gate", None, user="bob", port=2222) == ["ssh", "-G", "-l", "bob", "-p", "2222", "--", "gate"]


@pytest.mark.parametrize(
    ("text", "hop"),
    [
        ("gate", Hop("gate")),
        ("bob@gate:2222", Hop("gate", "bob", 2222)),
        ("bob@corp@gate", Hop("gate", "bob@corp")),
        ("[2001:db8::1]:22", Hop("2001:db8::1", None, 22)),
        ("2001:db8::1", Hop("2001:db8::1")),
        ("ssh://bob@gate:22/", Hop("gate", "bob", 22)),
    ],
)
def test_a_jump_host_is_written_in_many_ways(text: str, hop: Hop) -> None:
    assert parse_settings(f"hostname box\nuser ada\nport 22\nproxyjump {text}\n", ADA).proxy_jump == (hop,)


def test_an_unknown_token_stays() -> None:
    settings = parse_settings("hostname box\nuser ada\nport 22\nidentityfile /keys/%h_%Z_%%_${NONE}\n", ADA)
    assert settings.identity_files == ("/keys/box_%Z_%_${NONE}",)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        (PLAIN, "box.example.com"),
        (replace(PLAIN, port=2222), "[box.example.com]:2222"),
        (replace(PLAIN, port=2222, host_key_alias="the-box"), "the-box"),
    ],
)
def test_known_hosts_has_a_host_under_its_name_port_or_alias(settings: SshSettings, name: str) -> None:
    assert settings.known_hosts_name == name


def test_the_ssh_of_rsync_asks_nothing_and_forwards_nothing() -> None:
    argv = ssh_argv(PLAIN, "/a config")
    assert argv[:3] == ["ssh", "-F", "/a config"]
    options = argv[4::2]
    assert argv[3::2] == ["-o"] * len(options)
    assert {"BatchMode=yes", "ForwardAgent=no", "ForwardX11=no", "ClearAllForwardings=yes"} <= set(options)
    assert {"ConnectTimeout=10", "ServerAliveInterval=15"} <= set(options)
    assert not any(option.startswith(("ControlMaster", "StrictHostKeyChecking")) for option in options)


def test_the_ssh_of_rsync_takes_what_the_person_set() -> None:
    options = ssh_argv(replace(PLAIN, connect_timeout_s=3.0, server_alive_interval_s=60.0), None)
    assert {"ConnectTimeout=3", "ServerAliveInterval=60"} <= set(options)
    assert "-F" not in options


def test_the_ssh_of_rsync_never_accepts_a_changed_key() -> None:
    assert "StrictHostKeyChecking=accept-new" in ssh_argv(replace(PLAIN, strict_host_key_checking="no"), None)


def test_openssh_takes_the_argv_as_it_is() -> None:
    argv = ssh_argv(replace(PLAIN, strict_host_key_checking="no"), "/dev/null")
    done = subprocess.run([*argv, "-G", "box"], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert {"batchmode yes", "clearallforwardings yes", "connecttimeout 10", "stricthostkeychecking accept-new"} <= set(
        lines
    )


@pytest.mark.parametrize(
    ("path", "safe"), [("/home/ada/.ssh/config-2", True), ("/a b", False), ("/it's", False), ("/50%d", False)]
)
def test_a_config_file_that_needs_quotes_does_not_go_through_jump_hosts(path: str, safe: bool) -> None:
    assert is_safe_for_jumps(path) == safe


@pytest.mark.parametrize(
    ("destination", "prefix"),
    [
        ("box", "box:"),
        ("ada@box", "ada@box:"),
        ("2001:db8::1", "[2001:db8::1]:"),
        ("ada@::1", "ada@[::1]:"),
        ("[::1]", "[::1]:"),
    ],
)
def test_rsync_gets_ipv6_addresses_in_brackets(destination: str, prefix: str) -> None:
    assert rsync_prefix(destination) == prefix


def test_the_commands_for_a_person_are_quoted() -> None:
    settings = replace(PLAIN, port=2222)
    assert fingerprint_command(settings) == "ssh-keyscan -p 2222 box.example.com | ssh-keygen -lf -"
    assert fingerprint_command(PLAIN) == "ssh-keyscan box.example.com | ssh-keygen -lf -"
    assert forget_key_command("[box]:2222", "/a file") == "ssh-keygen -R '[box]:2222' -f '/a file'"
    assert login_command("box", "/a config") == "ssh -F '/a config' box"
