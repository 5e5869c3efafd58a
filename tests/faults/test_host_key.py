"""Hosts that are not who they were: a changed key and an unknown one are refused by every command, also by rsync's."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sltfleet.demo.loopback import LoopbackHost
from tests.faults.campaign import campaign
from tests.faults.commands import type_at_once

COMMANDS = ("status", "logs", "doctor", "sync", "build", "run -d", "stop", "fetch", "clean --target -y", "setup")


def test_a_changed_key_is_refused_by_every_command_with_what_to_check(odd_path: Path) -> None:
    with campaign(odd_path, ["true"], (LoopbackHost("near"), LoopbackHost("changed", host_key="changed"))) as fleet:
        known = fleet.loopback.known_hosts
        before = known.read_bytes()
        typed = fleet.person.does("sync", code=3)
        assert "near: syncing: 1 files" in typed.stderr
        assert "error: changed: the host's key has changed" in typed.stderr
        assert typed.stderr.count("SHA256:") == 2, "the key that is shown, and the one that is known"
        assert f"{known}:2 says" in typed.stderr
        assert (
            "next: ask whoever looks after the host whether its key changed; if it did: ssh-keygen -R" in typed.stderr
        )
        for command, typed in type_at_once(fleet, COMMANDS, "--host", "changed").items():
            assert typed.exit_code == (7 if command == "doctor" else 3), typed.said
            assert "the host's key has changed" in typed.stdout + typed.stderr, typed.said
        assert known.read_bytes() == before
        assert "Accepted" not in fleet.loopback.log("changed"), "no login was tried"
        assert not (odd_path / "hosts" / "changed").exists()


@pytest.mark.parametrize("checking", ["yes", "ask"])
def test_an_unknown_key_is_refused_with_how_to_compare_it(odd_path: Path, checking: str) -> None:
    stranger = LoopbackHost("stranger", host_key="unknown", ssh_config=(f"StrictHostKeyChecking {checking}",))
    with campaign(odd_path, ["true"], (stranger,)) as fleet:
        typed = fleet.person.does("sync", code=3)
        assert "error: stranger: the host's key is unknown" in typed.stderr
        assert "SHA256:" in typed.stderr
        assert "next: compare with: ssh-keyscan -p" in typed.stderr
        assert fleet.loopback.known_hosts.read_text() == ""


@pytest.mark.parametrize("checking", ["accept-new", "no"])
def test_a_key_that_was_accepted_once_is_refused_when_it_changes(odd_path: Path, checking: str) -> None:
    stranger = LoopbackHost("stranger", host_key="unknown", ssh_config=(f"StrictHostKeyChecking {checking}",))
    with campaign(odd_path, ["true"], (stranger,)) as fleet:
        fleet.person.does("sync")
        known = fleet.loopback.known_hosts
        (accepted,) = known.read_text().splitlines()
        other = (fleet.loopback.folder / "other_key.pub").read_text().split()[1]
        known.write_text(f"{accepted.split()[0]} ssh-ed25519 {other}\n")
        for command in ("status", "sync"):
            assert "the host's key has changed" in fleet.person.does(command, code=3).stderr


def test_a_key_that_changes_between_the_look_and_the_transfer_is_refused_by_rsyncs_own_ssh(odd_path: Path) -> None:
    with campaign(odd_path, ["true"]) as fleet:
        # An rsync that is not ours changes the known key just before its ssh connects.
        real = shutil.which("rsync")
        other = (fleet.loopback.folder / "other_key.pub").read_text().split()[1]
        bin_dir = odd_path / "bin"
        bin_dir.mkdir()
        (bin_dir / "rsync").write_text(f"""#!/bin/sh\nsed -i 's# [^ ]*$# {other}#' "$KNOWN"\nexec {real} "$@"\n""")
        (bin_dir / "rsync").chmod(0o755)
        fleet.person.environ |= {"PATH": f"{bin_dir}:/usr/bin:/bin", "KNOWN": str(fleet.loopback.known_hosts)}
        typed = fleet.person.does("sync", code=3)
        assert "error: alpha: the host's key is not trusted" in typed.stderr, typed.said
        assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in typed.stderr
        assert "next: " in typed.stderr
