"""Journals, read and added up by the soak test's own code."""

from __future__ import annotations

import json

import pytest
from soak_test.ledger import read_journal, sums_of

from tests.unit.soak.books import HOST, RUN, attempt, head, journal, tail


def test_whole_lines_are_read_and_what_follows_the_last_is_torn() -> None:
    data = (json.dumps(head()) + "\nnonsense\n[1]\n" + json.dumps(tail()) + '\n{"kind":"at').encode()
    read = read_journal(RUN, HOST, data)
    assert [line["kind"] for line in read.lines] == ["run-started", "run-finished"]
    assert (read.bad, read.torn) == (("nonsense", "[1]"), '{"kind":"at')


def test_a_journal_adds_up_to_its_attempts_cases_and_busy_time() -> None:
    _, start, end = attempt(1)
    _, failing_start, failing_end = attempt(
        2, "fail-0.02", 1.0, outcome="fail", passed=[], failed=[{"name": "fail-0.02", "message": "left == right"}]
    )
    sums = sums_of(journal(head(), start, end, failing_start, failing_end, tail()))
    assert (sums.attempts, sums.outcomes) == (2, {"pass": 1, "fail": 1})
    assert (sums.units_total, sums.units_covered) == (2, 2)
    assert (sums.cases_passed, sums.cases_failed, dict(sums.failed_cases)) == (1, 1, {"fail-0.02": 1})
    assert sums.busy_s == pytest.approx(0.24)
    assert sums.occupancy == pytest.approx(0.024)


def test_of_two_ends_of_an_attempt_the_first_counts() -> None:
    _, start, end = attempt(1)
    sums = sums_of(journal(head(), start, end, {**end, "outcome": "fail"}, tail()))
    assert sums.outcomes == {"pass": 1}


def test_an_attempt_without_an_end_was_busy_until_the_journals_last_line() -> None:
    _, start, _ = attempt(1)
    sums = sums_of(journal(head(), start, {"kind": "sample", "t": 4.0}))
    assert (sums.unfinished, sums.busy_s, sums.occupancy) == (1, 4.0, 1.0)


def test_what_could_not_be_started_kept_no_worker_busy() -> None:
    _, _, end = attempt(1, outcome="infra")
    assert sums_of(journal(head(), end, tail())).busy_s == 0


def test_the_reason_of_a_run_is_that_of_the_last_runner_that_went() -> None:
    stopped, resumed = tail(reason="stopped", t=3.0), {"kind": "run-resumed", "t": 3.0}
    assert journal(head(), stopped).reason == "stopped"
    assert journal(head(), stopped, resumed).reason is None
    assert journal(head(), stopped, resumed, tail()).reason == "budget"
