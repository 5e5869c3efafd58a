"""How a runner outlives the login: by nohup, or in a scope of the user's own systemd where that lives on itself."""

from __future__ import annotations

import getpass
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sltfleet.runner.session import Login, look, scope_words

LINGERING = Login(1000, lingers=True, runtime_dir="/run/user/1000", systemd_run="/usr/bin/systemd-run")


def test_a_user_who_lingers_and_has_a_manager_gets_a_scope() -> None:
    assert scope_words(LINGERING) == ["/usr/bin/systemd-run", "--user", "--scope", "--quiet", "--"]


@pytest.mark.parametrize(
    "login",
    [
        Login(0, lingers=True, runtime_dir="/run/user/0", systemd_run="/usr/bin/systemd-run"),
        Login(1000, lingers=False, runtime_dir="/run/user/1000", systemd_run="/usr/bin/systemd-run"),
        Login(1000, lingers=True, runtime_dir="", systemd_run="/usr/bin/systemd-run"),
        Login(1000, lingers=True, runtime_dir="/run/user/1000"),
    ],
)
def test_root_and_whoever_s_manager_ends_with_the_login_gets_none(login: Login) -> None:
    assert scope_words(login) == []


def test_a_host_says_whether_the_user_lingers_and_has_a_manager(odd_path: Path) -> None:
    assert look({"PATH": str(odd_path)}, str(odd_path)) == Login(os.geteuid())
    (odd_path / "var/lib/systemd/linger").mkdir(parents=True)
    (odd_path / "var/lib/systemd/linger" / getpass.getuser()).touch()
    manager = odd_path / "run/user" / str(os.geteuid()) / "systemd"
    manager.mkdir(parents=True)
    (manager / "private").touch()
    tool = odd_path / "systemd-run"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    assert look({"PATH": str(odd_path)}, str(odd_path)) == Login(os.geteuid(), True, str(manager.parent), str(tool))


#: Does what is told in the fork, with a log that takes nothing, and says how the fork ended.
DETACH = """\
import os
from sltfleet.runner.session import detached

def fails():
    raise RuntimeError("the runner's own mistake")

try:
    pid = detached(fails, os.open("/dev/full", os.O_WRONLY), "/")
except OSError:
    os._exit(42)  # the fork, in its parent's code
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_a_runner_whose_last_words_find_no_room_ends_and_never_goes_on_as_its_parent() -> None:
    done = subprocess.run([sys.executable, "-c", DETACH], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "1\n", done.stderr
