"""Syncs that fail: what a person is told, what is left behind, and that the other hosts go on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sltfleet.app.build import build
from sltfleet.app.fleet import Fleet
from sltfleet.app.progress import silent
from sltfleet.app.sync import sync
from sltfleet.core.errors import CommandTimeout, HostError, SyncError
from sltfleet.core.shell import rsync_rsh
from sltfleet.transport.rsync import run_rsync
from tests.support.fleets import local_hosts, opened
from tests.support.synced import error_of, host_dir, record_of, sync_local, write
from tests.support.waiting import PATIENCE_S, wait_for


def test_a_sync_that_fails_leaves_a_mark_that_is_refused_by_name_until_a_sync_is_whole(
    odd_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(odd_path / "repo", "a.rs")
    with opened(odd_path, local_hosts(odd_path, "one")) as fleet:
        assert "not there" in refusal(fleet).what
        before = sync(fleet, silent).values["one"].record
        with monkeypatch.context() as patch:
            fake_rsync(odd_path, patch, "echo 'rsync: connection unexpectedly closed' >&2; exit 12")
            error = error_of(sync(fleet, silent))
        assert isinstance(error, SyncError)
        assert "not whole" in refusal(fleet).what
        assert "sltfleet sync" in refusal(fleet).fix
        after = sync(fleet, silent).values["one"].record
        assert record_of(odd_path) == after
    # Nothing was sent this time, but the sync that failed may have sent something.
    assert before
    assert after
    assert before.content_id != after.content_id


def refusal(fleet: Fleet) -> SyncError:
    """Why the host "one" does not build what lies there."""
    error = build(fleet, *fleet.suite(), silent).errors["one"]
    assert isinstance(error, SyncError)
    return error


def fake_rsync(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Put an rsync first on the PATH that answers `--version` and does `text` otherwise."""
    (folder / "bin").mkdir(exist_ok=True)
    program = folder / "bin" / "rsync"
    program.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo rsync 3 && exit 0\n{text}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")


def test_a_full_disk_is_named_with_the_fix_and_the_other_hosts_go_on(
    odd_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(odd_path / "repo", "a.rs")
    real = shutil.which("rsync")
    message = 'rsync: write failed on "/x/sample/repo/a.rs": No space left on device (28)'
    fake_rsync(
        odd_path,
        monkeypatch,
        f"""case "$*" in *"root of full"*) echo '{message}' >&2; exit 11;; esac\nexec {real} "$@" """,
    )
    results = sync_local(odd_path, "full", "other")
    error = error_of(results, "full")
    assert isinstance(error, SyncError)
    assert "disk" in error.what
    assert "sltfleet clean" in error.fix
    assert "other" in results.values


def test_a_host_or_a_controller_without_rsync_is_told_what_to_do(
    odd_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(odd_path / "repo", "a.rs")
    tools = odd_path / "tools"
    tools.mkdir()
    for name in ("sh", "cat", "mkdir", "mv", "rm", "chmod", "ls", "df", "stat", "sed", "base64", "head", "tr"):
        program = shutil.which(name)
        assert program
        (tools / name).symlink_to(program)
    monkeypatch.setenv("PATH", str(tools))
    error = error_of(sync_local(odd_path))
    assert isinstance(error, SyncError)
    assert "sltfleet setup" in error.fix
    assert not (host_dir(odd_path) / "sync.incomplete").exists()
    with pytest.raises(SyncError, match="rsync is not installed on this machine"):
        run_rsync(["rsync"], timeout_s=5, stop=threading.Event(), on_progress=lambda _progress: None)


def test_a_host_that_never_answers_ends_in_time_and_delays_no_other(
    odd_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(odd_path / "repo", "a.rs")
    real, pid_file = shutil.which("rsync"), odd_path.parent / "pid"
    wait = f"""echo $$ >'{pid_file}'; sleep 1000 & wait"""
    fake_rsync(odd_path, monkeypatch, f"""case "$*" in *"root of silent"*) {wait};; esac\nexec {real} "$@" """)
    with opened(odd_path, local_hosts(odd_path, "silent", "other")) as fleet:
        results = sync(fleet, silent, timeout_s=6)
    assert isinstance(error_of(results, "silent"), CommandTimeout)
    assert "other" in results.values
    assert_group_is_gone(int(pid_file.read_text()))


def test_a_remote_shell_that_says_nothing_ends_by_rsyncs_own_limit(odd_path: Path) -> None:
    mute = odd_path / "mute shell"
    mute.write_text("#!/bin/sh\nexec sleep 1000\n")
    mute.chmod(0o755)
    result = run_rsync(
        ["rsync", "--timeout=1", "-e", rsync_rsh([str(mute)]), "a:/x", str(odd_path)],
        timeout_s=PATIENCE_S,
        stop=threading.Event(),
        on_progress=lambda _progress: None,
    )
    assert result.exit_code == 30


def test_a_remote_shell_that_does_not_end_when_all_is_done_is_given_up_and_delays_no_other(
    odd_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(odd_path / "repo", "a.rs")
    real, pid_file = shutil.which("rsync"), odd_path.parent / "pid"
    linger = f"""{real} "$@"; echo $$ >'{pid_file}'; sleep 1000 & wait"""
    fake_rsync(odd_path, monkeypatch, f"""case "$*" in *"root of one"*) {linger};; esac\nexec {real} "$@" """)
    with opened(odd_path, local_hosts(odd_path, "one", "other")) as fleet:
        results = sync(fleet, silent, silent_limit_s=6)
        error = error_of(results, "one")
        assert isinstance(error, CommandTimeout)
        assert "without a word" in error.why
        assert "ssh HOST true" in error.fix
        assert "not whole" in refusal(fleet).what
    assert "other" in results.values
    assert_group_is_gone(int(pid_file.read_text()))


def test_ctrl_c_ends_the_transfers(odd_path: Path) -> None:
    write(odd_path / "repo", "a.rs")
    pid_file = odd_path / "pid"
    program = """
import signal, sys
from pathlib import Path
from sltfleet.app.progress import silent
from sltfleet.app.sync import sync
from tests.support.fleets import local_hosts, opened
signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent in the background may have it ignored
folder = Path(sys.argv[1])
with opened(folder, local_hosts(folder, "one")) as fleet:
    sync(fleet, silent)
"""
    with pytest.MonkeyPatch.context() as patch:
        fake_rsync(
            odd_path, patch, f"""trap '' TERM; echo $$ >"{odd_path.parent}/pid"; sleep 1000 & wait; wait; wait"""
        )
        pid_file = odd_path.parent / "pid"
        child = subprocess.Popen(
            [sys.executable, "-c", program, str(odd_path)], stderr=subprocess.PIPE, start_new_session=True
        )
    try:
        wait_for(lambda: pid_file.exists() and pid_file.read_text().strip())
        child.send_signal(signal.SIGINT)
        assert child.wait(PATIENCE_S) != 0
    finally:
        child.kill()
        child.communicate()
    assert_group_is_gone(int(pid_file.read_text()))
    assert (host_dir(odd_path) / "sync.incomplete").exists()


def assert_group_is_gone(group: int) -> None:
    def is_gone() -> bool:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        return False

    try:
        wait_for(is_gone)
    finally:
        if not is_gone():
            os.killpg(group, signal.SIGKILL)


def test_rsyncs_own_environment_variables_change_nothing(odd_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(odd_path / "repo", "a.o")
    monkeypatch.setenv("RSYNC_RSH", "/nonexistent")
    monkeypatch.setenv("CVSIGNORE", "*")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert not sync_local(odd_path).errors


def test_a_host_that_is_down_is_an_error_and_the_others_are_synced(odd_path: Path) -> None:
    write(odd_path / "repo", "a.rs")
    config = odd_path / "ssh_config"
    config.write_text("Host down\n  HostName 127.0.0.1\n  Port 1\n")
    hosts = {"down": {}, **local_hosts(odd_path, "one")}
    with opened(odd_path, hosts, ssh_config=config) as fleet:
        results = sync(fleet, silent)
    assert isinstance(results.errors["down"], HostError)
    assert "one" in results.values
