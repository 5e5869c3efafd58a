"""Clean's plans: which runs go, how much that frees, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sltfleet.core.cleaning import (
    CleanPlan,
    CleanRequest,
    Deletion,
    Listing,
    delete_script,
    expired_runs,
    list_script,
    parse_deleted,
    parse_listing,
    plan_clean,
    refusal,
)
from sltfleet.core.errors import ActiveRunError, HostError, RefusedError, UsageError
from sltfleet.core.paths import HostPaths
from sltfleet.core.runid import is_run_id, new_run_id

DAY_S = 86400.0
NOW_S = 1_800_000_000.0

#: Newest last: 0, 1, 2 and 3 days old.
RUNS = [new_run_id(NOW_S - age * DAY_S, age) for age in (3, 2, 1, 0)]
LISTING = Listing({"repo": 7, "target": 500, "builds": 1, **{f"runs/{run}": 10 for run in RUNS}})


def gone(request: CleanRequest) -> list[str]:
    return [deletion.name for deletion in plan_clean("~/p", LISTING, request, NOW_S).deletions]


def names(runs: Sequence[str]) -> list[str]:
    return [f"runs/{run}" for run in runs]


def test_all_but_the_newest_go() -> None:
    assert gone(CleanRequest(keep=1)) == names(RUNS[:3])
    assert gone(CleanRequest(keep=0)) == names(RUNS)
    assert gone(CleanRequest(keep=99)) == []


def test_runs_older_than_so_many_seconds_go() -> None:
    assert gone(CleanRequest(older_than_s=1.5 * DAY_S)) == names(RUNS[:2])


def test_with_both_rules_a_run_goes_only_where_neither_protects_it() -> None:
    assert gone(CleanRequest(keep=3, older_than_s=0.5 * DAY_S)) == names(RUNS[:1])
    assert gone(CleanRequest(keep=0, older_than_s=2.5 * DAY_S)) == names(RUNS[:1])


def test_the_build_goes_with_its_record_and_the_repo_stays() -> None:
    plan = plan_clean("~/p", LISTING, CleanRequest(target=True), NOW_S)
    assert [deletion.name for deletion in plan.deletions] == ["target", "builds"]
    assert plan.size_bytes == 501
    assert plan.kept == tuple(RUNS)


def test_everything_is_the_whole_folder() -> None:
    plan = plan_clean("~/p", Listing({".": 1000}), CleanRequest(everything=True), NOW_S)
    assert plan.deletions == (Deletion(".", 1000, "the whole project folder"),)


@pytest.mark.parametrize(
    "request_",
    [
        CleanRequest(),
        CleanRequest(everything=True, keep=1),
        CleanRequest(everything=True, target=True),
        CleanRequest(keep=-1),
    ],
)
def test_a_request_that_makes_no_sense_is_an_error(request_: CleanRequest) -> None:
    with pytest.raises(UsageError):
        plan_clean("~/p", LISTING, request_, NOW_S)


@pytest.mark.parametrize("active", [RUNS[-1], ""])
def test_nothing_is_planned_while_a_run_is_active(active: str) -> None:
    with pytest.raises(ActiveRunError):
        plan_clean("~/p", Listing({}, active), CleanRequest(keep=0), NOW_S)


def test_a_run_id_whose_date_is_none_has_no_age() -> None:
    odd = "99999999-999999-abcdef"
    assert is_run_id(odd)
    assert expired_runs([odd], CleanRequest(older_than_s=1.0), NOW_S) == {}
    assert list(expired_runs([odd], CleanRequest(keep=0), NOW_S)) == [odd]


@given(
    ages=st.lists(st.floats(0, 1e8), max_size=20, unique=True),
    keep=st.none() | st.integers(0, 25),
    older_than_s=st.none() | st.floats(1, 1e8),
)
def test_the_newest_stay_and_no_young_run_goes(ages: list[float], keep: int | None, older_than_s: float | None) -> None:
    runs = [new_run_id(NOW_S - age, number) for number, age in enumerate(ages)]
    doomed = expired_runs(runs, CleanRequest(keep=keep, older_than_s=older_than_s), NOW_S)
    newest = sorted(runs, reverse=True)[: keep or 0]
    assert not set(newest) & set(doomed)
    if older_than_s is not None:
        assert all(age > older_than_s - 1 for run, age in zip(runs, ages, strict=True) if run in doomed)


def test_names_that_are_no_runs_are_dropped_from_what_a_host_lists() -> None:
    lines = ["12\truns/../../etc", "12\t/", "12\truns/20260101-000000-abcdefx", "12\trepo", "x\ttarget", "-1\ttarget"]
    listing = parse_listing("\n".join([*lines, f"3\truns/{RUNS[0]}", "end\n"]))
    assert listing == Listing({f"runs/{RUNS[0]}": 3072})


def test_a_listing_that_breaks_off_is_an_error() -> None:
    with pytest.raises(HostError):
        parse_listing(f"3\truns/{RUNS[0]}\n")


def test_an_active_run_is_told_by_its_id_and_a_strange_id_is_not_repeated() -> None:
    assert parse_listing(f"active\t{RUNS[0]}\n").active == RUNS[0]
    assert parse_listing("active\t\x1b[2J\n").active == ""


@given(st.text())
def test_no_answer_yields_a_name_that_is_not_ours(output: str) -> None:
    assert all(name == "." or name.startswith(("runs/", "target", "builds")) for name in parse_deleted(output))


@pytest.mark.parametrize("root", ["", "/", "//", "  ", "a/../..", "/x\n"])
def test_a_root_that_can_be_no_folder_of_ours_is_refused_before_anything_is_asked(root: str) -> None:
    with pytest.raises(RefusedError):
        list_script(HostPaths(root, "demo"), CleanRequest(everything=True))
    with pytest.raises(RefusedError):
        delete_script(HostPaths(root, "demo"), CleanPlan("p", (Deletion(".", 1, ""),)))


def test_every_refusal_of_the_scripts_has_words() -> None:
    paths = HostPaths("~/.sltfleet", "demo")
    assert refusal(paths, 0) is None
    assert isinstance(refusal(paths, 79), ActiveRunError)
    for code in (70, 72, 73, 74, 75, 76, 77, 78):
        error = refusal(paths, code)
        assert isinstance(error, RefusedError)
        assert error.why
        assert error.fix
