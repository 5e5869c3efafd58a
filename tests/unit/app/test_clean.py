"""clean as the command uses it: a plan per host and for this machine, then the deed."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from sltfleet.app.clean import execute_hosts, execute_local, plan_hosts, plan_local
from sltfleet.app.fleet import Fleet
from sltfleet.app.progress import silent
from sltfleet.core.cleaning import CleanRequest
from sltfleet.core.errors import ActiveRunError, HostError, RefusedError, UsageError
from sltfleet.core.paths import MARKER_NAME, LocalPaths
from tests.support.local_fleet import PROJECT, local_fleet

NOW_S = 1_800_000_000.0
OLD, NEW = "20260101-000000-aaaaaa", "20260202-000000-bbbbbb"


def make_project(root: Path, marker: str = PROJECT) -> Path:
    project = root / PROJECT
    for run in (OLD, NEW):
        (project / "runs" / run).mkdir(parents=True)
        (project / "runs" / run / "journal.jsonl").write_text("j" * 10_000)
    (project / MARKER_NAME).write_text(marker + "\n")
    return project


@pytest.fixture
def fleet(odd_path: Path) -> Fleet:
    """Four hosts: one to clean, one without a folder, one of another project, one with an active run."""
    roots = {name: str(odd_path / name) for name in ("full", "empty", "foreign", "busy")}
    for name, marker in (("full", PROJECT), ("foreign", "another"), ("busy", PROJECT)):
        make_project(odd_path / name, marker)
    return local_fleet(odd_path, roots)


def test_each_host_gets_its_own_plan_or_its_own_refusal_and_only_plans_are_carried_out(
    fleet: Fleet, odd_path: Path
) -> None:
    with open(odd_path / "busy" / PROJECT / "run.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        planned = plan_hosts(fleet, CleanRequest(keep=1), silent, now=lambda: NOW_S)
        assert {name: type(error) for name, error in planned.errors.items()} == {
            "foreign": RefusedError,
            "busy": ActiveRunError,
        }
        assert [deletion.name for deletion in planned.values["full"].deletions] == [f"runs/{OLD}"]
        assert planned.values["full"].kept == (NEW,)
        assert planned.values["full"].size_bytes >= 10_000
        assert planned.values["empty"].deletions == ()
        assert (odd_path / "full" / PROJECT / "runs" / OLD).is_dir(), "a plan deletes nothing"
        cleaned = execute_hosts(fleet, planned.values, silent)
    assert cleaned.errors == {}
    assert {name: value.size_bytes for name, value in cleaned.values.items()} == {
        "full": planned.values["full"].size_bytes
    }
    assert not (odd_path / "full" / PROJECT / "runs" / OLD).exists()
    for name, run in (("full", NEW), ("foreign", OLD), ("busy", OLD)):
        assert (odd_path / name / PROJECT / "runs" / run).is_dir()


def test_a_run_that_starts_between_plan_and_deed_is_safe(fleet: Fleet, odd_path: Path) -> None:
    planned = plan_hosts(fleet, CleanRequest(everything=True), silent, now=lambda: NOW_S)
    with open(odd_path / "full" / PROJECT / "run.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        cleaned = execute_hosts(fleet, planned.values, silent)
    assert isinstance(cleaned.errors["full"], ActiveRunError)
    assert (odd_path / "full" / PROJECT / "runs" / OLD).is_dir()
    assert not (odd_path / "busy" / PROJECT).exists()


def test_what_cannot_be_deleted_is_an_error_with_the_reason(
    fleet: Fleet, odd_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = plan_hosts(fleet, CleanRequest(keep=0), silent, now=lambda: NOW_S)
    bin_dir = odd_path / "bin"
    bin_dir.mkdir()
    (bin_dir / "rm").write_text("#!/bin/sh\necho 'rm: Device or resource busy' >&2\nexit 1\n")
    (bin_dir / "rm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_dir}:/usr/bin:/bin")
    error = execute_hosts(fleet, planned.values, silent).errors["full"]
    assert isinstance(error, HostError)
    assert OLD in error.what
    assert "busy" in error.why


def test_a_request_that_makes_no_sense_asks_no_host(fleet: Fleet) -> None:
    with pytest.raises(UsageError):
        plan_hosts(fleet, CleanRequest(), silent)


@pytest.fixture
def paths(odd_path: Path) -> LocalPaths:
    """Two fetched runs, a database, and a folder that is no run."""
    paths = LocalPaths(odd_path)
    for name in (OLD, NEW, "notes"):
        (paths.runs / name / "h").mkdir(parents=True)
        (paths.runs / name / "h" / "journal.jsonl").write_text("j" * 10_000)
    paths.database.write_text("db")
    return paths


def test_fetched_runs_are_planned_and_deleted_like_those_on_a_host(paths: LocalPaths) -> None:
    plan = plan_local(paths, CleanRequest(keep=1), NOW_S)
    assert [deletion.name for deletion in plan.deletions] == [f"runs/{OLD}"]
    assert plan.size_bytes >= 10_000
    assert execute_local(paths, plan).size_bytes == plan.size_bytes
    assert sorted(entry.name for entry in paths.runs.iterdir()) == [NEW, "notes"]


def test_a_run_that_was_not_fetched_yet_takes_no_fetched_one_s_place(paths: LocalPaths) -> None:
    never_fetched = "20260909-000000-dddddd"
    paths.run(never_fetched).mkdir()
    (paths.run(never_fetched) / "run.json").write_text("{}")
    plan = plan_local(paths, CleanRequest(keep=1), NOW_S)
    assert [deletion.name for deletion in plan.deletions] == [f"runs/{OLD}"]
    assert plan.kept == (NEW, never_fetched)


def test_the_plan_names_folders_that_are_there(paths: LocalPaths) -> None:
    plan = plan_local(paths, CleanRequest(keep=0), NOW_S)
    assert all((Path(plan.place) / deletion.name).is_dir() for deletion in plan.deletions)


def test_everything_here_is_all_runs_and_not_the_results(paths: LocalPaths) -> None:
    execute_local(paths, plan_local(paths, CleanRequest(everything=True), NOW_S))
    assert [entry.name for entry in paths.runs.iterdir()] == ["notes"]
    assert paths.database.read_text() == "db"


def test_no_fetched_run_at_all_is_an_empty_plan(odd_path: Path) -> None:
    assert plan_local(LocalPaths(odd_path), CleanRequest(keep=0), NOW_S).deletions == ()


def test_a_link_in_the_place_of_a_fetched_run_is_left_alone(paths: LocalPaths, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (paths.runs / "20260303-000000-cccccc").symlink_to(precious)
    plan = plan_local(paths, CleanRequest(keep=0), NOW_S)
    assert {deletion.name for deletion in plan.deletions} == {f"runs/{OLD}", f"runs/{NEW}"}


def test_a_run_that_became_a_link_after_the_plan_is_refused(paths: LocalPaths, tmp_path: Path) -> None:
    plan = plan_local(paths, CleanRequest(keep=1), NOW_S)
    precious = tmp_path / "precious"
    paths.run(OLD).rename(precious)
    paths.run(OLD).symlink_to(precious)
    with pytest.raises(RefusedError):
        execute_local(paths, plan)
    assert (precious / "h" / "journal.jsonl").exists()


def test_a_link_in_the_place_of_the_folder_of_runs_is_refused(paths: LocalPaths, tmp_path: Path) -> None:
    paths.runs.rename(tmp_path / "elsewhere")
    paths.runs.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RefusedError):
        plan_local(paths, CleanRequest(keep=0), NOW_S)
    assert (tmp_path / "elsewhere" / OLD).is_dir()
