from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sltfleet.core.paths import LocalPaths
from sltfleet.results.attempts import find_attempt, names_of_run
from sltfleet.results.queries import flaky, run_report
from sltfleet.results.store import Store
from tests.support.journals import RUN_ID, TIMEOUT_S, JournalBuilder


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    paths = LocalPaths(tmp_path)
    alpha = JournalBuilder(host="alpha").attempt(0, "a.test", 0, 10).attempt(1, "b.test", 0, 4)
    alpha.attempt(1, "c.test", 4, 6, "fail", message="no", failed=(("c.test:7", "no"),))
    alpha.attempt(1, "a.test", 6, 12, "fail", message="boom", pass_number=2, output="artifacts/4.out")
    alpha.attempt(0, "b.test", 12, 13, "cut").attempt(0, "never.test", 13, 14, "cut")
    beta = JournalBuilder(host="beta").attempt(0, "a.test", 0, 3, "timeout", message="slow")
    with Store.open(paths) as opened:
        for host, journal in (("alpha", alpha), ("beta", beta)):
            opened.import_journal(RUN_ID, host, journal.write(paths, host))
        yield opened


def test_the_first_attempt_that_failed_the_case_is_the_one_to_run_again(store: Store) -> None:
    found = find_attempt(store, RUN_ID, "a.test")
    assert found is not None
    assert (found.host, found.attempt, found.outcome) == ("beta", 1, "timeout")
    found = find_attempt(store, RUN_ID, "a.test", ("alpha",))
    assert found is not None
    assert (found.host, found.attempt, found.worker, found.pass_number, found.seed) == ("alpha", 4, 1, 2, 7)
    assert (found.start_s, found.remaining_s, found.suite, found.build_digest) == (6, 94, "slt", "b0")
    assert found.timeout_s == TIMEOUT_S


def test_a_case_leads_to_its_unit_and_a_unit_that_passed_to_an_attempt_that_passed(store: Store) -> None:
    found = find_attempt(store, RUN_ID, "c.test:7")
    assert found is not None
    assert found.unit == "c.test"
    found = find_attempt(store, RUN_ID, "b.test")
    assert found is not None
    assert found.outcome == "pass"


@pytest.mark.parametrize("name", ["never.test", "unknown", ""])
def test_what_was_cut_or_never_ran_has_no_attempt_to_run_again(store: Store, name: str) -> None:
    assert find_attempt(store, RUN_ID, name) is None


def test_the_names_of_a_run_are_its_units_and_the_cases_that_failed(store: Store) -> None:
    assert names_of_run(store, RUN_ID) == ["a.test", "b.test", "c.test:7"]


def test_a_flaky_unit_tells_seeds_worker_and_what_ran_beside_the_failure(store: Store) -> None:
    (found,) = run_report(store, RUN_ID).flaky
    assert (found.name, found.failed_seeds, found.passed_seeds) == ("a.test", (7,), (7,))
    slow, boom = found.failures
    assert (slow.host, slow.outcome, slow.neighbours) == ("beta", "timeout", ())
    assert (boom.host, boom.worker, boom.pass_number, boom.start_s, boom.end_s) == ("alpha", 1, 2, 6, 12)
    assert (boom.neighbours, boom.output) == (("a.test",), "alpha/artifacts/4.out")


def test_of_a_share_only_the_failing_seeds_are_known(tmp_path: Path) -> None:
    paths = LocalPaths(tmp_path / "other")
    journal = JournalBuilder(units=("1/2", "2/2")).attempt(0, "1/2", 0, 1, passed=("x", "y"))
    journal.attempt(0, "2/2", 1, 2, "fail", failed=(("x", "no"),)).attempt(0, "2/2", 2, 3)
    with Store.open(paths) as store:
        store.import_journal(RUN_ID, "alpha", journal.write(paths))
        (found,) = flaky(store)
    assert (found.kind, found.name, found.failed_seeds, found.passed_seeds) == ("case", "x", (7,), ())
    assert [failure.unit for failure in found.failures] == ["2/2"]
