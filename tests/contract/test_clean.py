"""Clean's two scripts, run by a real sh over real folders: what goes, what stays, and what is refused."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sltfleet.core.cleaning import (
    CleanPlan,
    CleanRequest,
    Deletion,
    delete_script,
    is_absent,
    list_script,
    parse_deleted,
    parse_listing,
    refusal,
)
from sltfleet.core.errors import ActiveRunError, RefusedError
from sltfleet.core.paths import MARKER_NAME, HostPaths
from sltfleet.core.shell import Script
from sltfleet.transport.base import CommandResult
from sltfleet.transport.local import LocalTransport

PROJECT = "demo"
OLD, NEW = "20260101-000000-aaaaaa", "20260202-000000-bbbbbb"
EVERYTHING = CleanRequest(everything=True)
PARTS = CleanRequest(keep=0, target=True)


def run(script: Script) -> CommandResult:
    return LocalTransport("here").run(script, timeout_s=60)


def deletion_of(*names: str) -> CleanPlan:
    return CleanPlan("there", tuple(Deletion(name, 0, "") for name in names))


def tree(folder: Path) -> dict[str, str]:
    """Everything below a folder: relative path -> content, or what it is."""
    found: dict[str, str] = {}
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent) / name
            text = "link" if path.is_symlink() else "folder" if path.is_dir() else path.read_text()
            found[str(path.relative_to(folder))] = text
    return found


@pytest.fixture
def home(odd_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of the test's own, with a file that must stay."""
    path = odd_path / "home"
    path.mkdir()
    (path / "precious").write_text("keep me")
    monkeypatch.setenv("HOME", str(path))
    return path


@pytest.fixture
def project(home: Path) -> Path:
    """A project's folder as sync, build and two runs leave it."""
    path = home / ".sltfleet" / PROJECT
    for name in ("repo", "target/debug", "builds", f"runs/{OLD}/tree", f"runs/{NEW}", "runs/not a run"):
        (path / name).mkdir(parents=True)
    (path / MARKER_NAME).write_text(PROJECT + "\n")
    (path / "repo" / "file").write_text("r" * 100_000)
    os.link(path / "repo" / "file", path / "runs" / OLD / "tree" / "file")
    (path / "target" / "debug" / "binary").write_text("b" * 200_000)
    (path / "builds" / "s.json").write_text("{}")
    (path / "runs" / OLD / "journal.jsonl").write_text("j" * 50_000)
    (path / "current").write_text(NEW + "\n")
    return path


PATHS = HostPaths("~/.sltfleet", PROJECT)


def test_the_listing_names_runs_and_builds_and_counts_linked_files_once(project: Path) -> None:
    listing = parse_listing(run(list_script(PATHS, PARTS)).stdout)
    assert set(listing.sizes_bytes) == {"target", "builds", f"runs/{OLD}", f"runs/{NEW}"}
    assert 50_000 <= listing.sizes_bytes[f"runs/{OLD}"] < 100_000
    assert listing.sizes_bytes["target"] >= 200_000
    assert listing.active is None


def test_the_whole_folders_size_is_listed_as_one(project: Path) -> None:
    listing = parse_listing(run(list_script(PATHS, EVERYTHING)).stdout)
    assert set(listing.sizes_bytes) == {"."}
    assert listing.sizes_bytes["."] >= 350_000


def test_only_what_the_plan_names_is_deleted(project: Path) -> None:
    before = tree(project)
    result = run(delete_script(PATHS, deletion_of(f"runs/{OLD}", "target", "builds")))
    assert set(parse_deleted(result.stdout)) == {f"runs/{OLD}", "target", "builds"}
    gone = (f"runs/{OLD}", "target", "builds")
    expected = {name: text for name, text in before.items() if not name.startswith(gone)}
    after = tree(project)
    after.pop("launch.lock", None)
    assert after == expected


def test_a_host_whose_newest_run_is_gone_has_no_current_run(project: Path) -> None:
    run(delete_script(PATHS, deletion_of(f"runs/{NEW}")))
    assert not (project / "current").exists()
    assert (project / "runs" / OLD).is_dir()


def test_everything_goes_with_odd_names_and_the_folder_itself_and_nothing_beside_it(project: Path, home: Path) -> None:
    for name in ("-rf", ".hidden", "..odd", "a\nb", "*"):
        (project / name).write_text("x")
    (project / "outward").symlink_to(home)
    result = run(delete_script(PATHS, deletion_of(".")))
    assert parse_deleted(result.stdout) == (".",)
    assert not project.exists()
    assert tree(home) == {".sltfleet": "folder", "precious": "keep me"}


def test_folders_that_their_owner_may_not_empty_go_as_well(project: Path) -> None:
    locked = project / "runs" / OLD / "locked"
    (locked / "inner").mkdir(parents=True)
    (locked / "inner" / "file").write_text("x")
    (locked / "inner").chmod(0o000)
    locked.chmod(0o500)
    assert parse_deleted(run(delete_script(PATHS, deletion_of(f"runs/{OLD}"))).stdout) == (f"runs/{OLD}",)
    assert not (project / "runs" / OLD).exists()


def test_a_link_in_a_runs_place_is_not_listed_and_its_goal_stays(project: Path, home: Path) -> None:
    run_id = "20260303-000000-cccccc"
    (project / "runs" / run_id).symlink_to(home)
    assert f"runs/{run_id}" not in parse_listing(run(list_script(PATHS, PARTS)).stdout).sizes_bytes
    run(delete_script(PATHS, deletion_of(f"runs/{run_id}")))
    assert (home / "precious").read_text() == "keep me"


@pytest.mark.parametrize("name", ["..", "runs/..", "runs", "repo", "/", "", f"runs/{OLD}/..", "target/../..", "*"])
def test_a_name_that_clean_never_makes_is_refused_by_the_script_itself(project: Path, home: Path, name: str) -> None:
    before = tree(home)
    result = run(delete_script(PATHS, deletion_of(name)))
    assert result.exit_code == 64
    (project / "launch.lock").unlink(missing_ok=True)
    assert tree(home) == before


def no_marker(project: Path) -> str:
    (project / MARKER_NAME).unlink()
    return str(project)


def other_marker(project: Path) -> str:
    (project / MARKER_NAME).write_text("another\n")
    return str(project)


def linked_marker(project: Path) -> str:
    (project / MARKER_NAME).rename(project / "elsewhere")
    (project / MARKER_NAME).symlink_to("elsewhere")
    return str(project)


def linked_project(project: Path) -> str:
    link = project.parent / "link"
    link.symlink_to(project)
    return str(link)


def linked_project_with_slashes(project: Path) -> str:
    return linked_project(project) + "//"


def linked_runs(project: Path) -> str:
    (project / "runs").rename(project.parent / "real runs")
    (project / "runs").symlink_to(project.parent / "real runs")
    return str(project)


def home_itself(project: Path) -> str:
    home = project.parent.parent
    (home / MARKER_NAME).write_text(PROJECT + "\n")
    return "~"


def above_home(project: Path) -> str:
    top = project.parent.parent.parent
    (top / MARKER_NAME).write_text(PROJECT + "\n")
    return str(top)


def a_file(project: Path) -> str:
    return str(project / "current")


SETTINGS = [
    home_itself,
    above_home,
    no_marker,
    other_marker,
    linked_marker,
    linked_project,
    linked_project_with_slashes,
    linked_runs,
    a_file,
]


@pytest.mark.parametrize("path", ["", "/", "//", "/."])
def test_the_root_folder_and_an_empty_path_are_refused(project: Path, path: str) -> None:
    # Only `target` is asked for: were the guard ever broken, this test would not be the one that deletes a machine.
    for script in (list_script(PATHS, PARTS), delete_script(PATHS, deletion_of("target"))):
        result = run(replace(script, args=(path, *script.args[1:])))
        assert isinstance(refusal(PATHS, result.exit_code), RefusedError), (result.exit_code, result.stderr)
        assert result.stdout == ""


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_folder_that_is_not_beyond_doubt_ours_is_refused_and_nothing_in_it_is_deleted(
    project: Path, home: Path, setting: Callable[[Path], str]
) -> None:
    path = setting(project)
    before = tree(home.parent)
    for script in (
        list_script(PATHS, EVERYTHING),
        delete_script(PATHS, deletion_of(".")),
        delete_script(PATHS, deletion_of("target")),
    ):
        # Past core.project_dir's own check, so that the script's is put to the test.
        result = run(replace(script, args=(path, *script.args[1:])))
        assert isinstance(refusal(PATHS, result.exit_code), RefusedError), (result.exit_code, result.stderr)
        assert result.stdout == ""
        assert tree(home.parent) == before


def test_a_missing_folder_is_nothing_to_clean(home: Path) -> None:
    assert is_absent(run(list_script(PATHS, EVERYTHING)).exit_code)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that plays the runner."""
    process = subprocess.Popen(["sleep", "300"])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def write_identity(folder: Path, pid: int, *, ticks_off: int = 0, boot: str = "") -> None:
    boot = boot or Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    (folder / "identity").write_text(f"{boot} {pid} {ticks + ticks_off}\n")


def test_nothing_is_deleted_while_the_runner_lives(project: Path, sleeper: subprocess.Popen[bytes]) -> None:
    write_identity(project / "runs" / OLD, sleeper.pid)
    before = tree(project)
    assert parse_listing(run(list_script(PATHS, PARTS)).stdout).active == OLD
    for plan in (deletion_of("."), deletion_of("target")):
        assert isinstance(refusal(PATHS, run(delete_script(PATHS, plan)).exit_code), ActiveRunError)
    assert tree(project) == before


def test_a_stranger_with_the_runners_pid_and_a_runner_of_another_boot_are_no_active_run(
    project: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    write_identity(project / "runs" / OLD, sleeper.pid, ticks_off=1)
    write_identity(project / "runs" / NEW, sleeper.pid, boot="0d5e0f5a-3c1b-4a55-9d2e-6f1f0a7c2b11")
    assert parse_listing(run(list_script(PATHS, PARTS)).stdout).active is None


def test_a_damaged_identity_is_no_active_run(project: Path) -> None:
    (project / "runs" / OLD / "identity").write_bytes(b"\xff ../../etc/passwd $(reboot)")
    assert parse_listing(run(list_script(PATHS, PARTS)).stdout).active is None


@pytest.mark.parametrize("lock", ["run.lock", "launch.lock"])
def test_a_held_lock_is_an_active_run_whatever_the_identities_say(project: Path, lock: str) -> None:
    with open(project / lock, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        before = tree(project)
        assert parse_listing(run(list_script(PATHS, PARTS)).stdout).active == ""
        result = run(delete_script(PATHS, deletion_of(f"runs/{OLD}")))
        assert isinstance(refusal(PATHS, result.exit_code), ActiveRunError)
        assert tree(project) == before
    assert parse_listing(run(list_script(PATHS, PARTS)).stdout).active is None
