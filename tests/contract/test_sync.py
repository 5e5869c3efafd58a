"""`sync` with real rsync: what is on the host afterwards, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sltfleet.app.progress import TransferProgress, silent
from sltfleet.app.sync import sync
from sltfleet.core.errors import RefusedError, SyncError
from sltfleet.core.syncing import record_from_json
from sltfleet.demo.loopback import LoopbackFleet, LoopbackHost
from tests.support.fleets import Recorder, local_hosts, opened
from tests.support.hosts import NOISE
from tests.support.synced import error_of, files_of, host_dir, record_of, sync_local, write

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
    synced = results.values[kind]
    assert files_of(root / "sample" / "repo") == {*ODD_FILES, "run.sh"}
    assert synced.repo == str(root / "sample" / "repo")
    assert synced.files == synced.transferred == len(ODD_FILES) + 1
    assert synced.record == record_from_json((root / "sample" / "sync.json").read_text())
    assert (root / "sample" / ".sltfleet-project").read_text() == "sample\n"
    assert (root / "sample").stat().st_mode & 0o777 == 0o700
    assert (root / "sample" / "repo" / "run.sh").stat().st_mode & 0o777 == 0o700
    assert (root / "sample" / "repo" / "a b.rs").stat().st_mode & 0o777 == 0o600
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


def test_a_second_checkout_with_the_same_project_leaves_the_firsts_folder_alone_unless_it_takes_it_over(
    odd_path: Path,
) -> None:
    first, second = odd_path / "first", odd_path / "second"
    write(first / "repo", "first.rs")
    write(second / "repo", "second.rs")
    hosts = local_hosts(odd_path, "one")
    with opened(first, hosts) as mine, opened(second, hosts) as theirs:
        assert not sync(mine, silent).errors
        before = record_of(odd_path)
        for dry_run in (True, False):
            error = error_of(sync(theirs, silent, dry_run=dry_run))
            assert isinstance(error, RefusedError)
            assert "first/repo on " in error.why
            assert "second/repo on " in error.why
            assert "--take-over" in error.fix
        # Nothing was touched: the first one's build is not refused for a sync that never began.
        assert record_of(odd_path) == before
        assert files_of(host_dir(odd_path)) >= {"sync.json"}
        assert not (host_dir(odd_path) / "sync.incomplete").exists()
        assert files_of(host_dir(odd_path) / "repo") == {"first.rs"}
        assert sync(theirs, silent, dry_run=True, take_over=True).values["one"].planned
        assert not sync(theirs, silent, take_over=True).errors
        assert files_of(host_dir(odd_path) / "repo") == {"second.rs"}
        assert "second/repo on " in error_of(sync(mine, silent)).why


def test_a_folder_that_was_synced_before_origins_were_kept_is_anybodys(odd_path: Path) -> None:
    write(odd_path / "repo", "a.rs")
    sync_local(odd_path)
    record = host_dir(odd_path) / "sync.json"
    values = {key: value for key, value in json.loads(record.read_text()).items() if not key.startswith("origin")}
    record.write_text(json.dumps(values) + "\n")
    assert not sync_local(odd_path).errors
    after = record_of(odd_path)
    assert after
    assert after.origin


def test_the_progress_of_a_large_transfer_is_told_while_it_runs(odd_path: Path) -> None:
    (odd_path / "repo").mkdir()
    (odd_path / "repo" / "big").write_bytes(os.urandom(8_000_000))
    with opened(odd_path, local_hosts(odd_path, "one")) as fleet:
        recorder = Recorder()
        sync(fleet, recorder)
    told = [event for event in recorder.events if isinstance(event, TransferProgress)]
    assert told[-1].done_bytes == 8_000_000
    assert told[-1].share == 1.0


def test_a_later_sync_tells_how_many_of_the_files_it_has_looked_at(odd_path: Path) -> None:
    (odd_path / "repo").mkdir()
    for name in "abcd":
        (odd_path / "repo" / name).write_bytes(os.urandom(100_000))
    with opened(odd_path, local_hosts(odd_path, "one")) as fleet:
        sync(fleet, silent)
        (odd_path / "repo" / "b").write_bytes(os.urandom(100_000))
        recorder = Recorder()
        sync(fleet, recorder)
    told = [event for event in recorder.events if isinstance(event, TransferProgress)]
    assert (told[-1].done_bytes, told[-1].share) == (100_000, 1.0)
