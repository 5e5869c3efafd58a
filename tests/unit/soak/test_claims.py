"""What must hold between the journals and what is told of them: each check finds the flaw that it is for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from soak_test import claims
from soak_test.accounting import KILLED, Discrepancy, Excused
from soak_test.claims import Said
from soak_test.ledger import sums_of

from tests.unit.soak.books import HOST, RUN, harm, journal, story

SAID = Said(("status",), 0, "all is well", "", 12.0)


def checks(found: Iterable[Discrepancy]) -> list[str]:
    """The names of the checks that found something."""
    return [discrepancy.check for discrepancy in found]


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (SAID, []),
        (replace(SAID, exit_code=3), []),
        (replace(SAID, exit_code=70), ["exit-code"]),
        (replace(SAID, exit_code=-9), ["exit-code"]),
        (replace(SAID, exit_code=-9, ended_by=9), []),
        (replace(SAID, exit_code=None), ["command-ends"]),
        (replace(SAID, stderr="Traceback (most recent call last):"), ["no-traceback"]),
    ],
)
def test_a_command_ends_with_a_documented_code_and_without_a_traceback(said: Said, found: list[str]) -> None:
    assert checks(claims.check_command(said)) == found


def test_what_was_fetched_is_what_lies_on_the_host() -> None:
    there = journal()
    assert checks(claims.check_fetched(there, b"abc", b"abc")) == []
    assert checks(claims.check_fetched(there, b"abc", b"ab")) == ["fetched"]
    assert checks(claims.check_fetched(there, b"abc", None)) == ["fetched"]


def test_a_database_that_lacks_or_doubles_an_attempt_is_told() -> None:
    there = story().journal
    rows = claims.attempt_rows(there)
    assert checks(claims.check_rows(there, rows)) == []
    assert checks(claims.check_rows(there, rows[1:])) == ["database"]
    assert checks(claims.check_rows(there, [*rows, rows[0]])) == ["database"]


def test_a_database_that_is_another_when_it_is_made_anew_is_told() -> None:
    tables = {"attempts": [(1, "pass"), (2, "fail")]}
    assert checks(claims.check_rebuilt(tables, tables)) == []
    assert checks(claims.check_rebuilt(tables, {"attempts": [(1, "pass")]})) == ["rebuilt"]


def report() -> dict[str, Any]:
    """What `report --format json` says of the story in `books`."""
    sums = sums_of(story().journal)
    numbers = {name: value for name, value in vars(sums).items() if name != "failed_cases"}
    host = {name: numbers.pop(name) for name in ("cases_passed", "cases_failed", "unfinished")}
    utilization = {**numbers, "reason": "budget", "problems": []}
    return {"hosts": [{"host": HOST, "damage": "", "utilization": utilization, **host}], "failing": []}


def test_a_report_whose_numbers_are_the_journals_is_right() -> None:
    assert list(claims.check_report(RUN, [story().journal], report())) == []


@pytest.mark.parametrize("name", ["attempts", "units_covered", "busy_s", "occupancy", "passes"])
def test_a_report_with_another_number_is_told(name: str) -> None:
    told = report()
    told["hosts"][0]["utilization"][name] += 1
    (found,) = claims.check_report(RUN, [story().journal], told)
    assert name in found.what


def test_a_report_without_a_host_or_with_a_failure_too_many_is_told() -> None:
    assert checks(claims.check_report(RUN, [story().journal], {"hosts": [], "failing": []})) == ["report"]
    told = report() | {"failing": [{"case": "pass-0.10", "failed": 1}]}
    assert checks(claims.check_report(RUN, [story().journal], told)) == ["report"]


def status(**more: object) -> dict[str, object]:
    """What `status --format json` says of the story in `books`."""
    return {"host": HOST, "state": "finished", "reason": "budget", **vars(sums_of(story().journal)), **more}


def test_a_status_of_a_run_that_is_over_has_the_journals_numbers() -> None:
    assert checks(claims.check_status(story(), status())) == []
    assert checks(claims.check_status(story(), status(attempts=4))) == ["status"]


def test_a_run_whose_runner_was_killed_is_lost() -> None:
    told = story(3, harm(KILLED, 5.0))
    killed = replace(told, journal=journal(*told.journal.lines[:-1]))
    assert checks(claims.check_status(killed, status(state="lost"))) == []
    assert checks(claims.check_status(killed, status(state="running"))) == ["status"]


def test_a_process_that_is_left_and_a_file_that_was_touched_are_told() -> None:
    assert checks(claims.check_left({12: "sleep 600"})) == ["nothing-left"]
    assert list(claims.check_outside({"a": "1"}, {"a": "1"}, 0, Excused())) == []
    before, after = {"a": "1", "gone": "2"}, {"a": "3", "new": "4"}
    told = [found.what for found in claims.check_outside(before, after, 0, Excused())]
    assert told == ["has changed", "is gone", "is new"]


def test_only_a_killed_command_may_leave_its_temporary_folder() -> None:
    after = {"tmp/sltfleet-rules-x": "", "tmp/sltfleet-rules-x/include": "1"}
    assert checks(claims.check_outside({}, after, 0, Excused())) == ["nothing-outside"] * 2
    excused = Excused()
    assert checks(claims.check_outside({}, after, 1, excused)) == []
    assert excused.counts["temporary folder of a killed command"] == 1
