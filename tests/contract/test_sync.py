"""`sync` with real rsync: what is on the host afterwards, what is refused, and what is left behind by a sync that
fails.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sltfleet.app.fleet import HostResults
from sltfleet.app.progress import TransferProgress, silent
from sltfleet.app.sync import SyncedHost, require_whole_sync, sync
from sltfleet.core.errors import CommandTimeout, FleetError, HostError, RefusedError, SyncError
from sltfleet.core.shell import rsync_rsh
from sltfleet.demo.loopback import LoopbackFleet, LoopbackHost
from sltfleet.transport.rsync import run_rsync
from tests.support.fleets import Recorder, local_hosts, opened
from tests.support.hosts import NOISE, wait_until

ODD_FILES = (
    "a b.rs",
    "-dash.rs",
    "co:lon.rs",
    "ü/ö.rs",
    "star*/[x].rs",
    "back\\slash",
    "quote'\".rs",
    "new\nline",
    " lead",
)


@pytest.fixture(scope="module")
def loopback(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackFleet]:
    folder = tmp_path_factory.mktemp("loopback")
    hosts = []
    for alias, noise in (("plain", ""), ("noisy", NOISE)):
        (folder / alias).mkdir()
        hosts.append(LoopbackHost(alias, home=folder / alias, login_noise=noise))
    with LoopbackFleet(hosts, folder / "fleet") as running:
        yield running


def write(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or path.is_file()}


def sync_local(folder: Path, *names: str, max_delete: int = 1000) -> HostResults[SyncedHost]:
    hosts = local_hosts(folder, *(names or ("one",)))
    with opened(folder, hosts, sync={"max_delete": max_delete}) as fleet:
        return sync(fleet, silent)


def host_dir(folder: Path, name: str = "one") -> Path:
    return folder / f"root of {name}" / "sample"


def error_of(results: HostResults[SyncedHost], name: str = "one") -> FleetError:
    assert name in results.errors, results
    return results.errors[name]


@pytest.mark.parametrize("kind", ["local", "plain", "noisy"])
def test_every_file_arrives_under_its_own_name_and_the_folder_is_marked(
    kind: str, odd_path: Path, loopback: LoopbackFleet
) -> None:
    write(odd_path / "repo", *ODD_FILES)
    (odd_path / "repo" / "run.sh").write_text("")
    (odd_path / "repo" / "run.sh").chmod(0o700)
    root = odd_path / "-root: of 'one'"
    host = {"transport": "local"} if kind == "local" else {}
    with opened(odd_path, {kind: {**host, "root": str(root)}}, ssh_config=loopback.ssh_config) as fleet:
        recorder = Recorder()
        results = sync(fleet, recorder)
        assert not results.errors
        record = require_whole_sync(fleet.hosts[0])
    synced = results.values[kind]
    assert files_of(root / "sample" / "repo") == {*ODD_FILES, "run.sh"}
    assert synced.repo == str(root / "sample" / "repo")
    assert synced.files == synced.transferred == len(ODD_FILES) + 1
    assert synced.record == record
    assert (root / "sample" / ".sltfleet-project").read_text() == "sample\n"
    assert (root / "sample").stat().st_mode & 0o777 == 0o700
    assert (root / "sample" / "repo" / "run.sh").stat().st_mode & 0o777 == 0o755
    assert (root / "sample" / "repo" / "a b.rs").stat().st_mode & 0o777 == 0o644
    assert not (root / "sample" / "sync.incomplete").exists()
    assert any(isinstance(event, TransferProgress) and event.done_bytes > 0 for event in recorder.events)


def test_a_root_in_the_home_folder_may_be_written_with_a_tilde(odd_path: Path, loopback: LoopbackFleet) -> None:
    write(odd_path / "repo", "a.rs")
    with opened(odd_path, {"plain": {}}, ssh_config=loopback.ssh_config) as fleet:
        results = sync(fleet, silent)
    home = loopback.folder.parent / "plain"
    assert results.values["plain"].repo == str(home / ".sltfleet" / "sample" / "repo")
    assert files_of(home / ".sltfleet" / "sample" / "repo") == {"a.rs"}


def test_what_is_removed_here_goes_there_and_the_second_sync_sends_nothing(odd_path: Path) -> None:
    write(odd_path / "repo", "a.rs", "old/b.rs", "old/c.rs")
    first = sync_local(odd_path).values["one"]
    second = sync_local(odd_path).values["one"]
    assert (second.transferred, second.deleted) == (0, 0)
    assert first.record
    assert second.record
    assert first.record.content_id == second.record.content_id
    shutil.rmtree(odd_path / "repo" / "old")
    third = sync_local(odd_path).values["one"]
    assert third.deleted == 3  # two files and their folder
    assert third.record
    assert third.record.content_id != first.record.content_id
    assert files_of(host_dir(odd_path) / "repo") == {"a.rs"}


def test_a_folder_may_become_a_file_and_a_file_a_folder(odd_path: Path) -> None:
    write(odd_path / "repo", "was folder/a", "was file")
    sync_local(odd_path)
    shutil.rmtree(odd_path / "repo" / "was folder")
    (odd_path / "repo" / "was file").unlink()
    write(odd_path / "repo", "was folder", "was file/b")
    assert not sync_local(odd_path).errors
    assert files_of(host_dir(odd_path) / "repo") == {"was folder", "was file/b"}


def test_too_many_deletions_delete_nothing_and_say_how_many(odd_path: Path) -> None:
    write(odd_path / "repo", "keep.rs", *(f"d/{number}" for number in range(30)))
    sync_local(odd_path, max_delete=20)
    shutil.rmtree(odd_path / "repo" / "d")
    error = error_of(sync_local(odd_path, max_delete=20))
    assert isinstance(error, SyncError)
    assert "30" in error.what
    assert "max_delete" in error.fix
    assert "d/" in error.detail
    assert len(files_of(host_dir(odd_path) / "repo")) == 31
    assert (host_dir(odd_path) / "sync.incomplete").exists()
    assert not sync_local(odd_path, max_delete=40).errors
    assert files_of(host_dir(odd_path) / "repo") == {"keep.rs"}


def test_links_are_copied_as_links_and_never_followed(odd_path: Path) -> None:
    outside = odd_path / "outside"
    write(outside, "secret")
    write(odd_path / "repo", "inside/a")
    (odd_path / "repo" / "out").symlink_to(outside)
    (odd_path / "repo" / "in").symlink_to("inside")
    (odd_path / "repo" / "broken").symlink_to("nowhere")
    sync_local(odd_path)
    repo = host_dir(odd_path) / "repo"
    assert files_of(repo) == {"inside/a", "out", "in", "broken"}
    assert (repo / "out").is_symlink()
    # A folder takes the link's place: nothing is written or deleted where the link led to.
    (odd_path / "repo" / "out").unlink()
    write(odd_path / "repo", "out/new")
    assert not sync_local(odd_path).errors
    assert files_of(outside) == {"secret"}


def test_a_link_that_now_points_to_an_older_file_makes_that_file_new(odd_path: Path) -> None:
    write(odd_path / "repo", "a.rs", "b.rs")
    (odd_path / "repo" / "now.rs").symlink_to("a.rs")
    sync_local(odd_path)
    there = host_dir(odd_path) / "repo"
    os.utime(there / "b.rs", (1, 1))
    (odd_path / "repo" / "now.rs").unlink()
    (odd_path / "repo" / "now.rs").symlink_to("b.rs")
    sync_local(odd_path)
    assert (there / "now.rs").stat().st_mtime > 1


def test_a_changed_file_gets_the_hosts_own_time_and_an_unchanged_one_keeps_it(odd_path: Path) -> None:
    write(odd_path / "repo", "a.rs", "b.rs")
    sync_local(odd_path)
    there = host_dir(odd_path) / "repo"
    for name in ("a.rs", "b.rs"):
        os.utime(there / name, (1000, 1000))
    (odd_path / "repo" / "a.rs").write_text("A.RS")  # as long as before
    os.utime(odd_path / "repo" / "a.rs", (500, 500))  # and older: from a backup, say
    os.utime(odd_path / "repo" / "b.rs")
    synced = sync_local(odd_path).values["one"]
    assert synced.transferred == 1
    assert (there / "a.rs").read_text() == "A.RS"
    assert abs((there / "a.rs").stat().st_mtime - time.time()) < 600
    assert (there / "b.rs").stat().st_mtime == 1000


@pytest.mark.parametrize("kind", ["foreign", "link", "other project", "file", "marker link", "repo link"])
def test_a_folder_that_is_not_ours_is_refused_and_left_as_it_is(kind: str, odd_path: Path) -> None:
    write(odd_path / "repo", "a.rs")
    place, elsewhere = host_dir(odd_path), odd_path / "elsewhere"
    write(elsewhere, "precious")
    place.parent.mkdir(parents=True)
    if kind == "link":
        place.symlink_to(elsewhere)
    elif kind == "file":
        place.write_text("precious")
    else:
        write(place, "precious")
        if kind == "other project":
            (place / ".sltfleet-project").write_text("another\n")
        if kind == "marker link":
            (place / ".sltfleet-project").symlink_to("precious")
        if kind == "repo link":
            (place / ".sltfleet-project").write_text("sample\n")
            (place / "repo").symlink_to(elsewhere)
    before = files_of(place.parent), files_of(elsewhere)
    error = error_of(sync_local(odd_path))
    assert isinstance(error, RefusedError)
    assert error.fix
    assert (files_of(place.parent), files_of(elsewhere)) == before


@pytest.mark.parametrize("root", ["/", "//", "/tmp/../..", "relative"])
def test_a_root_that_is_no_folder_of_its_own_is_refused(root: str, odd_path: Path) -> None:
    write(odd_path / "repo", "a.rs")
    try:
        with opened(odd_path, {"one": {"transport": "local", "root": root}}) as fleet:
            error = error_of(sync(fleet, silent))
    except FleetError as refused:  # fleet.yaml's own check may come first
        error = refused
    assert error.fix or isinstance(error, FleetError)
    assert not Path("/sample").exists()


def test_the_home_folder_is_refused_even_where_it_is_empty(odd_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(odd_path / "repo", "a.rs")
    home = host_dir(odd_path)
    home.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    assert isinstance(error_of(sync_local(odd_path)), RefusedError)
    assert not list(home.iterdir())


def test_a_dry_run_counts_and_names_and_changes_nothing(odd_path: Path) -> None:
    write(odd_path / "repo", "a.rs", "b.rs")
    with opened(odd_path, local_hosts(odd_path, "one")) as fleet:
        planned = sync(fleet, silent, dry_run=True).values["one"].planned
        assert planned
        assert (planned.sent, set(planned.sent_names), planned.deleted) == (2, {"a.rs", "b.rs"}, 0)
        assert not host_dir(odd_path).exists()
        sync(fleet, silent)
        (odd_path / "repo" / "a.rs").unlink()
        planned = sync(fleet, silent, dry_run=True).values["one"].planned
        assert planned
        assert (planned.sent, planned.deleted_names) == (0, ("a.rs",))
    assert files_of(host_dir(odd_path) / "repo") == {"a.rs", "b.rs"}


def test_a_sync_that_fails_leaves_a_mark_that_is_refused_by_name_until_a_sync_is_whole(
    odd_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(odd_path / "repo", "a.rs")
    with opened(odd_path, local_hosts(odd_path, "one")) as fleet:
        host = fleet.hosts[0]
        with pytest.raises(SyncError, match="not there"):
            require_whole_sync(host)
        before = sync(fleet, silent).values["one"].record
        with monkeypatch.context() as patch:
            fake_rsync(odd_path, patch, "echo 'rsync: connection unexpectedly closed' >&2; exit 12")
            error = error_of(sync(fleet, silent))
        assert isinstance(error, SyncError)
        with pytest.raises(SyncError, match="not whole") as caught:
            require_whole_sync(host)
        assert "sltfleet sync" in caught.value.fix
        after = sync(fleet, silent).values["one"].record
        assert require_whole_sync(host) == after
    # Nothing was sent this time, but the sync that failed may have sent something.
    assert before
    assert after
    assert before.content_id != after.content_id


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
    for name in ("sh", "cat", "mkdir", "mv", "chmod", "ls", "df", "stat", "sed", "base64", "head", "tr"):
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
        results = sync(fleet, silent, timeout_s=1)
    assert isinstance(error_of(results, "silent"), CommandTimeout)
    assert "other" in results.values
    assert_group_is_gone(int(pid_file.read_text()))


def test_a_remote_shell_that_says_nothing_ends_by_rsyncs_own_limit(odd_path: Path) -> None:
    mute = odd_path / "mute shell"
    mute.write_text("#!/bin/sh\nexec sleep 1000\n")
    mute.chmod(0o755)
    result = run_rsync(
        ["rsync", "--timeout=1", "-e", rsync_rsh([str(mute)]), "a:/x", str(odd_path)],
        timeout_s=30,
        stop=threading.Event(),
        on_progress=lambda _progress: None,
    )
    assert result.exit_code == 30


def test_ctrl_c_ends_the_transfers(odd_path: Path) -> None:
    write(odd_path / "repo", "a.rs")
    pid_file = odd_path / "pid"
    program = """
import sys
from pathlib import Path
from sltfleet.app.progress import silent
from sltfleet.app.sync import sync
from tests.support.fleets import local_hosts, opened
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
        wait_until(lambda: pid_file.exists() and pid_file.read_text().strip())
        child.send_signal(signal.SIGINT)
        assert child.wait(20) != 0
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
        wait_until(is_gone)
    finally:
        if not is_gone():
            os.killpg(group, signal.SIGKILL)


def test_rsyncs_own_environment_variables_change_nothing(odd_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(odd_path / "repo", "a.o")
    monkeypatch.setenv("RSYNC_RSH", "/nonexistent")
    monkeypatch.setenv("CVSIGNORE", "*")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert not sync_local(odd_path).errors


def test_a_host_that_is_down_is_an_error_and_the_others_are_synced(odd_path: Path, loopback: LoopbackFleet) -> None:
    write(odd_path / "repo", "a.rs")
    config = odd_path / "ssh_config"
    config.write_text(f"Host down\n  HostName 127.0.0.1\n  Port 1\nInclude {loopback.ssh_config}\n")
    hosts = {"down": {}, **local_hosts(odd_path, "one")}
    with opened(odd_path, hosts, ssh_config=config) as fleet:
        results = sync(fleet, silent)
    assert isinstance(results.errors["down"], HostError)
    assert "one" in results.values


def test_the_progress_of_a_large_transfer_is_told_while_it_runs(odd_path: Path) -> None:
    (odd_path / "repo").mkdir()
    (odd_path / "repo" / "big").write_bytes(os.urandom(8_000_000))
    with opened(odd_path, local_hosts(odd_path, "one")) as fleet:
        recorder = Recorder()
        sync(fleet, recorder)
    told = [event for event in recorder.events if isinstance(event, TransferProgress)]
    assert told[-1].done_bytes == 8_000_000
    assert told[-1].total_bytes == 8_000_000
