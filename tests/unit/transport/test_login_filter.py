from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sltfleet.transport import login_filter
from sltfleet.transport.login_filter import READ_BYTES, copy_after, ssh_command

MARK = "@mark@"
WRAPPED = f"sh -c 'echo; echo {MARK}; exec \"$@\"' sh"


@pytest.mark.parametrize(
    ("added", "command"),
    [
        (["box", "rsync", "--server", "."], ["box", f"{WRAPPED} rsync --server ."]),
        (["-l", "ada", "box", "rsync"], ["-l", "ada", "box", f"{WRAPPED} rsync"]),
        (["-6", "-l", "ada", "box", "rsync"], ["-6", "-l", "ada", "box", f"{WRAPPED} rsync"]),
    ],
)
def test_the_remote_command_is_wrapped_and_the_rest_left_alone(added: list[str], command: list[str]) -> None:
    assert ssh_command(MARK, 3, ["ssh", "-F", "file", *added]) == ["ssh", "-F", "file", *command]


@pytest.mark.parametrize("added", [[], ["box"], ["-l", "ada"]])
def test_a_missing_host_or_command_is_refused(added: list[str]) -> None:
    with pytest.raises(ValueError, match="no host or no command"):
        ssh_command(MARK, 1, ["ssh", *added])


def copy(*pieces: bytes) -> tuple[bytes, bytes | None]:
    """Run the copy over two real pipes; return what came out and what it returned."""
    source, write_end = os.pipe()
    read_end, target = os.pipe()

    def write() -> None:
        for piece in pieces:
            view = memoryview(piece)
            while view:
                view = view[os.write(write_end, view) :]
        os.close(write_end)

    returned: list[bytes | None] = []

    def work() -> None:
        returned.append(copy_after(MARK.encode(), source, target))
        os.close(target)

    threads = [threading.Thread(target=write), threading.Thread(target=work)]
    for thread in threads:
        thread.start()
    with os.fdopen(read_end, "rb") as file:
        out = file.read()
    for thread in threads:
        thread.join()
    os.close(source)
    return out, returned[0]


def test_what_comes_before_the_mark_is_dropped_and_the_rest_goes_through() -> None:
    data = os.urandom(1_000_000)
    assert copy(b"Welcome!\nno newline", b"\n@ma", b"rk@\n" + data) == (data, None)


def test_endless_noise_is_bounded() -> None:
    assert copy(b"x" * (3 * READ_BYTES), b"\n@mark@\n", b"data") == (b"data", None)


def test_without_the_mark_nothing_goes_through_and_the_noise_is_told() -> None:
    assert copy(b"This account is currently not available.\n") == (b"", b"This account is currently not available.\n")


def run_filter(odd_path: Path, body: str) -> subprocess.CompletedProcess[bytes]:
    """Run the program as rsync does, from elsewhere, with a script in place of ssh."""
    fake = odd_path / "fake ssh"
    fake.write_text(f"#!/bin/sh\n{body}\n")
    fake.chmod(0o700)
    argv = [sys.executable, "-I", str(Path(login_filter.__file__)), MARK, "1", str(fake), "box", "cat", "-u"]
    return subprocess.run(argv, input=b"hello", capture_output=True, cwd="/", check=False)


def test_input_reaches_the_command_and_its_output_and_exit_code_come_back(odd_path: Path) -> None:
    done = run_filter(odd_path, 'echo noise; echo more >&2; shift; sh -c "$*"; exit 23')
    assert (done.returncode, done.stdout, done.stderr) == (23, b"hello", b"more\n")


def test_a_login_that_never_runs_the_command_is_shown(odd_path: Path) -> None:
    done = run_filter(odd_path, "echo This account is currently not available.; exit 1")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"This account is currently not available.\n\n"


def test_a_signal_is_told_as_128_and_its_number(odd_path: Path) -> None:
    assert run_filter(odd_path, "kill -9 $$").returncode == 137
