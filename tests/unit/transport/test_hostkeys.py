from __future__ import annotations

import base64
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from sltfleet.core.errors import HostKeyError
from sltfleet.core.ssh_config import Hop, SshSettings
from sltfleet.transport.hostkeys import (
    Changed,
    HostKey,
    Known,
    Revoked,
    Unknown,
    Verdict,
    check_host_key,
    judge,
    parse_known_hosts,
    read_known_hosts,
)

BOX = SshSettings(original_host="box", hostname="box.example.com", user="ada")
BOX_2222 = replace(BOX, port=2222)


def key(text: str, key_type: str = "ssh-ed25519") -> HostKey:
    return HostKey(key_type, text.encode())


def line(names: str, presented: HostKey, marker: str = "") -> str:
    return f"{marker} {names} {presented.key_type} {base64.b64encode(presented.key).decode()} a comment\n".lstrip()


def verdict(text: str, settings: SshSettings = BOX, presented: HostKey | None = None) -> Verdict:
    return judge(parse_known_hosts(text, "known_hosts"), settings, presented or key("right"))


@pytest.mark.parametrize(
    "names",
    [
        "box.example.com",
        "BOX.example.com",
        "other,box.example.com,10.0.0.1",
        "*.example.com",
        "box.example.co?",
        "*,!mail.example.com",
    ],
)
def test_a_key_is_known_by_name_list_or_wildcard(names: str) -> None:
    assert verdict(line(names, key("right"))) == Known()


@pytest.mark.parametrize(
    "names", ["box", "example.com", "*.example.com,!box.*", "box.example.com.evil", "boxXexample.com"]
)
def test_a_key_of_other_names_is_not_the_hosts(names: str) -> None:
    assert verdict(line(names, key("right"))) == Unknown()


def test_a_port_other_than_22_stands_in_brackets() -> None:
    assert verdict(line("[box.example.com]:2222", key("right")), BOX_2222) == Known()
    assert verdict(line("[box.example.com]:2222", key("right"))) == Unknown()
    assert verdict(line("[*.example.com]:2222", key("right")), BOX_2222) == Known()


def test_a_key_known_without_the_port_counts_where_none_is_known_with_it() -> None:
    assert verdict(line("box.example.com", key("right")), BOX_2222) == Known()
    assert verdict(line("box.example.com", key("other")), BOX_2222) == Unknown()
    both = line("box.example.com", key("right")) + line("[box.example.com]:2222", key("other"))
    assert isinstance(verdict(both, BOX_2222), Changed)


def test_an_alias_is_looked_up_alone() -> None:
    settings = replace(BOX_2222, host_key_alias="the-box")
    assert verdict(line("the-box", key("right")), settings) == Known()
    assert verdict(line("box.example.com", key("right")), settings) == Unknown()


def test_a_changed_key_names_the_line_of_the_same_type() -> None:
    text = "# comment\n\n" + line("box.example.com", key("an ecdsa key", "ecdsa-sha2-nistp256"))
    text += line("box.example.com", key("other"))
    found = verdict(text)
    assert isinstance(found, Changed)
    assert found.known.place == "known_hosts:4"


def test_a_key_of_another_type_than_the_known_one_is_a_changed_key() -> None:
    assert isinstance(verdict(line("box.example.com", key("an rsa key", "ssh-rsa"))), Changed)


def test_one_of_several_keys_is_enough() -> None:
    assert verdict(line("box.example.com", key("old")) + line("box.example.com", key("right"))) == Known()


def test_a_revoked_key_is_refused_although_it_is_known() -> None:
    text = line("box.example.com", key("right")) + line("*", key("right"), "@revoked")
    assert isinstance(verdict(text), Revoked)
    assert verdict(line("box.example.com", key("right")) + line("*", key("other"), "@revoked")) == Known()


def test_an_authority_is_named_but_does_not_make_a_key_known() -> None:
    found = verdict(line("*.example.com", key("right"), "@cert-authority"))
    assert isinstance(found, Unknown)
    assert found.authority
    assert found.authority.line == 1


@pytest.mark.parametrize(
    "text",
    [
        "box.example.com",
        "box.example.com ssh-ed25519",
        "box.example.com ssh-ed25519 !!!",
        "@revoked",
        "|1|x|y a b",
        "\x00\x01",
    ],
)
def test_a_line_that_makes_no_sense_is_passed_over(text: str) -> None:
    assert verdict(text + "\n" + line("box.example.com", key("right"))) == Known()


@pytest.fixture
def known_hosts(odd_path: Path) -> Path:
    return odd_path / "known_hosts"


def settings_for(known_hosts: Path, **more: object) -> SshSettings:
    return replace(BOX_2222, user_known_hosts_files=(str(known_hosts),), **more)  # type: ignore[arg-type]


def real_key(folder: Path) -> HostKey:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "key")], check=True)
    return HostKey("ssh-ed25519", base64.b64decode((folder / "key.pub").read_text().split()[1]))


@pytest.mark.parametrize("hashed", [True, False])
def test_openssh_finds_the_key_that_was_added(known_hosts: Path, hashed: bool) -> None:
    presented = real_key(known_hosts.parent)
    settings = settings_for(known_hosts, strict_host_key_checking="accept-new", hash_known_hosts=hashed)
    known_hosts.write_text("a line without its end")
    check_host_key("box", "box", settings, None, presented)
    argv = ["ssh-keygen", "-F", "[box.example.com]:2222", "-f", str(known_hosts)]
    assert "[box.example.com]:2222 found" in subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert ("box.example.com" in known_hosts.read_text()) != hashed
    before = known_hosts.read_text()
    check_host_key("box", "box", settings, None, presented)
    assert known_hosts.read_text() == before


def test_a_key_that_openssh_hashed_is_found(known_hosts: Path) -> None:
    presented = real_key(known_hosts.parent)
    known_hosts.write_text(line("[box.example.com]:2222", presented))
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(known_hosts)], check=True, capture_output=True)
    assert "box" not in known_hosts.read_text()
    check_host_key("box", "box", settings_for(known_hosts), None, presented)


def test_the_fingerprint_is_the_one_that_ssh_keygen_shows(known_hosts: Path) -> None:
    presented = real_key(known_hosts.parent)
    shown = subprocess.run(
        ["ssh-keygen", "-lf", str(known_hosts.parent / "key")], capture_output=True, text=True, check=True
    )
    assert presented.fingerprint == shown.stdout.split()[1]


def test_an_unknown_key_is_refused_and_not_added(known_hosts: Path) -> None:
    with pytest.raises(HostKeyError) as caught:
        check_host_key("box", "ada@box", settings_for(known_hosts), "/a config", key("right"))
    assert caught.value.fix == (
        "compare with: ssh-keyscan -p 2222 box.example.com | ssh-keygen -lf -; then add it: ssh -F '/a config' ada@box"
    )
    assert not known_hosts.exists()


def test_behind_a_jump_host_only_ssh_itself_can_show_the_key(known_hosts: Path) -> None:
    with pytest.raises(HostKeyError) as caught:
        check_host_key("box", "box", settings_for(known_hosts, proxy_jump=(Hop("gate"),)), None, key("right"))
    assert "ssh-keyscan" not in caught.value.fix


def test_a_host_with_an_authority_is_not_accepted_as_new(known_hosts: Path) -> None:
    known_hosts.write_text(line("*", key("authority"), "@cert-authority"))
    with pytest.raises(HostKeyError, match="authority"):
        check_host_key(
            "box", "box", settings_for(known_hosts, strict_host_key_checking="accept-new"), None, key("right")
        )


def test_a_new_key_that_cannot_be_written_down_is_an_error(odd_path: Path) -> None:
    (odd_path / "file").touch()
    settings = settings_for(odd_path / "file" / "known_hosts", strict_host_key_checking="accept-new")
    with pytest.raises(HostKeyError, match="cannot be written"):
        check_host_key("box", "box", settings, None, key("right"))


def test_files_that_are_missing_hold_no_keys(odd_path: Path) -> None:
    there = odd_path / "there"
    there.write_text(line("box.example.com", key("right")))
    files = (str(odd_path / "missing"), str(odd_path), str(there), os.devnull)
    assert len(read_known_hosts(replace(BOX, user_known_hosts_files=files))) == 1
