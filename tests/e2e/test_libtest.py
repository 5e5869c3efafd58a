"""A real cargo workspace whose tests end in every way that a test can end, a unit each; and a suite without cargo."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.e2e.conftest import stopped_at_the_end
from tests.e2e.test_observed import journal_of, local_host
from tests.support.cli import Person

pytestmark = pytest.mark.cargo

WORKSPACE = Path(__file__).resolve().parents[1] / "fixtures" / "libtest"


def make_project(person: Person, suite: dict[str, object]) -> None:
    """Write a project with the workspace as its repo and one suite."""
    shutil.copytree(WORKSPACE, person.cwd / "repo", ignore=shutil.ignore_patterns("target"))
    fleet = {
        "project": "libtests",
        "repo": "repo",
        "hosts": local_host(person),
        "suites": {"all": {"timeout": "60s", "kill_after": "1s", **suite}},
    }
    (person.cwd / "fleet.yaml").write_text(json.dumps(fleet))


def verdicts(person: Person) -> dict[object, tuple[object, object]]:
    """Return of each unit of the newest run its outcome and the message of its failed case, the last one of both."""
    found: dict[object, tuple[object, object]] = {}
    for event in journal_of(person):
        if event["kind"] == "attempt-finished":
            failed = event["failed"]
            assert isinstance(failed, list)
            assert [case["name"] for case in failed] in ([], [event["unit"]])
            found[event["unit"]] = event["outcome"], "".join(case["message"] for case in failed)
    return found


EXPECTED = {
    "alpha::tests::doubles": ("pass", ""),
    "alpha::tests::runs_in_its_own_folder": ("pass", ""),
    "alpha::api::adds": ("pass", ""),
    "alpha::api::panics_as_it_should": ("pass", ""),
    "alpha::api::fails": (
        "fail",
        "assertion `left == right` failed: two by two\n  left: 4\n right: 5 (at crates/alpha/tests/api.rs:11:5)",
    ),
    "alpha::api::returns_an_error": ("fail", "Error: ParseIntError { kind: InvalidDigit }"),
    "alpha::api::should_panic_and_does_not": (
        "fail",
        "test did not panic as expected at crates/alpha/tests/api.rs:27:4",
    ),
    "beta::bin/beta::tests::of_the_program": ("pass", ""),
    "beta::hard::aborts": ("crash", "ended by SIGABRT"),
    "beta::hard::exits_with_zero": ("fail", "the process ended before the harness's summary (exit code 0)"),
    "beta::hard::is_fine": ("pass", ""),
    "beta::hard::is_fine_too": ("pass", ""),
    "beta::hard::panics_in_a_thread": ("fail", "deep inside (at crates/beta/tests/hard.rs:14:40)"),
}


def test_every_test_of_a_workspace_is_a_unit_with_its_own_verdict(person: Person) -> None:
    make_project(
        person, {"build": {"workspace": True}, "units": {"kind": "libtest", "batch": "5s"}, "workdir": "per-worker"}
    )
    with stopped_at_the_end(person):
        person.does("sync")
        person.does("run", "--workers", "2", "--budget", "200s", "--passes", "1", code=1)
        person.does("fetch")
        assert verdicts(person) == EXPECTED

        # Now their durations are known, so that small tests share a process; nothing else may be different.
        person.does("run", "--workers", "2", "--budget", "200s", "--passes", "2", code=1)
        person.does("fetch")
        assert verdicts(person) == EXPECTED
        started = [event["pid"] for event in journal_of(person) if event["kind"] == "attempt-started"]
        assert len(set(started)) < len(started), "some shared a process"


def test_single_tests_are_canaries_and_can_be_run_again(person: Person) -> None:
    canary = {"passing": "alpha::api::adds", "failing": "beta::hard::exits_with_zero"}
    make_project(person, {"build": {"workspace": True}, "units": {"kind": "libtest"}, "canary": canary})
    with stopped_at_the_end(person):
        person.does("sync")
        trusted = person.does("doctor", "--suite", "all", "-v")
        assert "the failing canary beta::hard::exits_with_zero failed" in trusted.stdout
        person.does("run", "--workers", "2", "--budget", "200s", "--passes", "1", code=1)
        run = str(person.does("fetch", "--format", "json").json()["run"])
    again = person.does("repro", run, "alpha::api::fails", code=1)
    assert "two by two" in again.stdout
    assert "running 1 test" in again.stdout
    person.does("repro", run, "alpha::tests::runs_in_its_own_folder")


def test_ignored_tests_run_where_they_are_asked_for_and_an_executable_can_be_left_out(person: Person) -> None:
    make_project(
        person,
        {"build": {"lib": True, "tests": ["api"], "workspace": True}, "units": {"kind": "libtest", "ignored": "only"}},
    )
    with stopped_at_the_end(person):
        person.does("sync")
        person.does("run", "--workers", "2", "--budget", "200s", "--passes", "1")
        person.does("fetch")
    assert verdicts(person) == {"alpha::tests::takes_a_day": ("pass", "")}


def test_a_suite_without_cargo_builds_lists_and_runs_what_it_is_told(person: Person) -> None:
    make_project(
        person,
        {
            "build": {"command": ["sh", "make it.sh"], "output": "out/checker"},
            "units": {
                "kind": "command",
                "program": ["{binary}", "--unit", "{unit}"],
                "lines_of": ["sh", "-c", "printf 'one\\ntwo words\\n'"],
            },
        },
    )
    repo = person.cwd / "repo"
    (repo / ".gitignore").write_text("/out\n")
    (repo / "make it.sh").write_text(
        "mkdir -p out && printf '#!/bin/sh\\n[ \"$2\" = one ]\\n' >out/checker && chmod +x out/checker\n"
        'date +%N >>"$HOME/built"\n'
    )
    with stopped_at_the_end(person):
        person.does("sync")
        person.does("run", "--workers", "2", "--budget", "200s", "--passes", "1", code=1)
        person.does("run", "--workers", "2", "--budget", "200s", "--passes", "1", code=1)
        person.does("fetch")
    assert verdicts(person) == {"one": ("pass", ""), "two words": ("fail", "exit code 1")}
    assert len((person.home / "built").read_text().splitlines()) == 1, "nothing had changed: built once"


def test_a_suite_may_build_nothing_at_all(person: Person) -> None:
    make_project(
        person,
        {
            "units": {
                "kind": "command",
                "program": ["grep", "-q", "fn main", "{path}"],
                "files": {"root": "crates", "include": ["**/src/*.rs"]},
            }
        },
    )
    with stopped_at_the_end(person):
        person.does("sync")
        person.does("run", "--workers", "2", "--budget", "200s", "--passes", "1", code=1)
        person.does("fetch")
    assert verdicts(person) == {"alpha/src/lib.rs": ("fail", "exit code 1"), "beta/src/main.rs": ("pass", "")}
