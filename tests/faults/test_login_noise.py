"""Login shells that print banners, escapes and worse before they do what they are told, on both streams."""

from __future__ import annotations

from pathlib import Path

from sltfleet.demo.loopback import LoopbackHost
from tests.faults.books import expect_the_books_to_agree
from tests.faults.campaign import campaign
from tests.faults.commands import type_at_once

#: What a chatty host prints at each login: lines that look like answers of ours, terminal escapes, no end of line.
NOISE = """\
*** Welcome! 3 updates are pending. ***
run 20200101-000000-abcdef
state
{"format": 1, "phase": "finished"}
dir /somewhere/else
@exit 0
>>> sltfleet {"answer": "launched"}
\x1b]0;title\x07\x1b[2Jlast line without its end"""

LOOKING = ("doctor", "sync --dry-run", "status", "logs", "build", "stop")
CHANGING = ("sync", "clean --target -y")


def test_every_command_works_behind_a_login_shell_that_talks(odd_path: Path) -> None:
    hosts = (
        LoopbackHost("chatty", login_noise=NOISE),
        # 1 MB before every answer.
        LoopbackHost("flood", login_noise="all work and no play makes a dull host\n" * 27_000),
    )
    with campaign(odd_path, ["sleep 0.05", "false"], hosts) as fleet:
        fleet.person.does("sync")
        ran = fleet.person.does("run", "--passes", "3", "--budget", "300s", code=1)
        assert "error:" not in ran.stderr, ran.said
        for typed in (type_at_once(fleet, LOOKING) | type_at_once(fleet, CHANGING)).values():
            assert typed.exit_code == 0, typed.said
            assert "error" not in typed.stderr, typed.said
            assert "\x1b" not in typed.stdout + typed.stderr
        assert {host["state"] for host in fleet.status().values()} == {"finished"}
        expect_the_books_to_agree(fleet, "chatty", "flood")


def test_a_login_shell_that_ends_before_the_script_shows_what_it_said(odd_path: Path) -> None:
    closed = LoopbackHost("closed", login_shell="/bin/false", login_noise="This account is \x1b[31mnot available.\n")
    with campaign(odd_path, ["true"], (LoopbackHost("near"), closed)) as fleet:
        typed = fleet.person.does("sync", code=3)
        assert "near: syncing: 1 files" in typed.stderr
        assert "error: closed: the shell did not begin the script" in typed.stderr
        assert "This account is" in typed.stderr
        assert "not available." in typed.stderr
        assert "\x1b" not in typed.stderr
        assert "next: look at: ssh -F" in typed.stderr
