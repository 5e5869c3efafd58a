from __future__ import annotations

import pytest

from sltfleet.core.errors import RunError
from sltfleet.core.paths import LocalPaths
from sltfleet.results.model import QuarantinedUnit
from sltfleet.results.queries import flaky, run_report
from sltfleet.results.store import Store
from sltfleet.wire.events import Note
from sltfleet.wire.quarantine import Quarantine, quarantine_text
from tests.support.journals import LATER_RUN_ID, RUN_ID, JournalBuilder


def imported(store: Store, paths: LocalPaths, *journals: JournalBuilder) -> None:
    for journal in journals:
        started = journal.events[0]
        host, run_id = getattr(started, "host", ""), getattr(started, "run_id", "")
        store.import_journal(run_id, host, journal.write(paths, host, run_id))


def test_failing_cases_tell_the_first_message_the_count_and_the_hosts(store: Store, paths: LocalPaths) -> None:
    alpha = JournalBuilder(host="alpha").attempt(0, "a.test", 5, 9, "fail", message="second", output="artifacts/1.out")
    beta = JournalBuilder(host="beta").attempt(0, "a.test", 0, 3, "fail", message="first", output="artifacts/7.out")
    beta.attempt(0, "b.test", 3, 4, "fail", failed=(("b.test:12", ""),)).attempt(0, "a.test", 4, 5)
    imported(store, paths, alpha, beta)
    worst, other = run_report(store, RUN_ID).failing
    assert (worst.case, worst.message, worst.failed, worst.passed) == ("a.test", "first", 2, 1)
    assert (worst.hosts, worst.output) == (("alpha", "beta"), "beta/artifacts/7.out")
    assert (other.case, other.unit, other.output) == ("b.test:12", "b.test", "")


def test_a_unit_that_the_same_build_passed_and_failed_is_flaky(store: Store, paths: LocalPaths) -> None:
    journal = JournalBuilder().attempt(0, "a.test", 0, 1).attempt(0, "a.test", 1, 2, "timeout", message="timed out")
    imported(store, paths, journal.attempt(0, "b.test", 2, 3))
    (found,) = run_report(store, RUN_ID).flaky
    assert (found.kind, found.name, found.passed, found.failed) == ("unit", "a.test", 1, 1)
    assert (found.message, found.hosts, found.failure_rate) == ("timed out", ("alpha",), 0.5)


@pytest.mark.parametrize("outcome", ["cut", "infra", "skip"])
def test_what_is_no_verdict_makes_nothing_flaky(outcome: str, store: Store, paths: LocalPaths) -> None:
    journal = JournalBuilder().attempt(0, "a.test", 0, 1).attempt(0, "a.test", 1, 2, outcome, failed=())
    imported(store, paths, journal)
    assert flaky(store) == ()


def test_two_builds_that_differ_make_nothing_flaky(store: Store, paths: LocalPaths) -> None:
    good = JournalBuilder(build_digest="b0").attempt(0, "a.test", 0, 1)
    bad = JournalBuilder(host="beta", build_digest="b1").attempt(0, "a.test", 0, 1, "fail")
    imported(store, paths, good, bad)
    assert flaky(store) == ()


def test_over_all_runs_more_is_flaky_than_within_one(store: Store, paths: LocalPaths) -> None:
    first = JournalBuilder().attempt(0, "a.test", 0, 1)
    second = JournalBuilder(run_id=LATER_RUN_ID, host="beta").attempt(0, "a.test", 0, 1, "fail")
    imported(store, paths, first, second)
    assert run_report(store, RUN_ID).flaky == run_report(store, LATER_RUN_ID).flaky == ()
    assert [(found.name, found.hosts) for found in flaky(store)] == [("a.test", ("beta",))]


def test_a_share_of_a_suite_is_never_flaky_itself_but_its_cases_are(store: Store, paths: LocalPaths) -> None:
    journal = JournalBuilder(units=("1/2", "2/2")).attempt(0, "1/2", 0, 1, passed=("x", "y"))
    journal.attempt(0, "1/2", 1, 2, "fail", passed=("z",), failed=(("x", "no"),)).attempt(0, "1/2", 2, 3, "crash")
    imported(store, paths, journal)
    (found,) = run_report(store, RUN_ID).flaky
    assert (found.kind, found.name, found.passed, found.failed) == ("case", "x", 1, 1)


def test_a_flaky_case_that_is_its_flaky_unit_is_told_once(store: Store, paths: LocalPaths) -> None:
    case = "third_party/test/a.test"
    journal = JournalBuilder().attempt(0, "a.test", 0, 1, passed=(case,))
    imported(store, paths, journal.attempt(0, "a.test", 1, 2, "fail", failed=((case, "no"),)))
    assert [found.kind for found in flaky(store)] == ["unit"]


def test_the_slowest_units_are_ranked_by_their_median_and_a_cut_does_not_count(store: Store, paths: LocalPaths) -> None:
    journal = JournalBuilder().attempt(0, "a.test", 0, 10).attempt(0, "a.test", 10, 12).attempt(0, "a.test", 12, 15)
    journal.attempt(1, "b.test", 0, 5).attempt(1, "b.test", 5, 100, "cut")
    imported(store, paths, journal)
    found = run_report(store, RUN_ID).slowest
    assert [(unit.unit, unit.median_s, unit.max_s, unit.attempts) for unit in found] == [
        ("b.test", 5, 5, 1),
        ("a.test", 3, 10, 3),
    ]


def test_coverage_counts_each_unit_and_case_of_all_hosts_once(store: Store, paths: LocalPaths) -> None:
    alpha = JournalBuilder(host="alpha", units=("a.test", "b.test")).attempt(0, "a.test", 0, 1)
    beta = JournalBuilder(host="beta", units=("b.test", "c.test")).attempt(0, "b.test", 0, 1, "fail")
    imported(store, paths, alpha.attempt(0, "b.test", 1, 2), beta.attempt(0, "c.test", 1, 2, "cut"))
    summary = run_report(store, RUN_ID).summary
    assert (summary.units_total, summary.units_covered, summary.cases_covered, summary.hosts) == (3, 2, 2, 2)


def test_shares_of_different_seeds_do_not_cover_a_suite_together(store: Store, paths: LocalPaths) -> None:
    units = ("0/3", "1/3", "2/3")
    alpha = JournalBuilder(host="alpha", units=units, share_units=2).attempt(0, "0/3", 0, 1, seed=7)
    alpha.attempt(0, "1/3", 1, 2, seed=8, pass_number=2).attempt(0, "2/3", 2, 3, seed=8, pass_number=2)
    beta = JournalBuilder(host="beta", units=units, share_units=1).attempt(0, "2/3", 0, 1, seed=7)
    beta.attempt(0, "1/3", 1, 2, seed=9, pass_number=2)
    imported(store, paths, alpha, beta)
    report = run_report(store, RUN_ID)
    # Of the first pass, which both have with one seed: 0/3 and 2/3; of alpha's second pass: 1/3 and 2/3.
    assert (report.summary.units_total, report.summary.units_covered) == (3, 2)
    assert [run.utilization.units_covered for run in report.hosts] == [2, 1]
    assert [run.utilization.share_units for run in report.hosts] == [2, 1]


def test_notes_and_attempts_without_an_end_are_told_per_host(store: Store, paths: LocalPaths) -> None:
    journal = JournalBuilder()
    journal.start(0, "a.test", 1)
    journal.events.append(Note(2, "no space left"))
    imported(store, paths, journal)
    (host,) = run_report(store, RUN_ID).hosts
    assert (host.notes, host.unfinished, host.cases_passed) == (("no space left",), 1, 0)


def test_a_run_that_was_never_fetched_is_an_error_that_says_how_to_get_it(store: Store) -> None:
    with pytest.raises(RunError, match="has been fetched") as caught:
        run_report(store, RUN_ID)
    assert caught.value.fix == f"`sltfleet fetch --run {RUN_ID}`"


def test_units_in_quarantine_at_the_end_are_told_with_their_hosts_and_not_as_notes(
    store: Store, paths: LocalPaths
) -> None:
    told = {
        "alpha": [("hung %.test", 3), ("hung %.test", 4), ("mended", 3), ("mended", 0), ("odd \udcff", 3)],
        "beta": [("hung %.test", 3), ("mended", 0)],
    }
    for host, quarantined in told.items():
        journal = JournalBuilder(host=host)
        journal.events += [Note(t, quarantine_text(Quarantine(*entry))) for t, entry in enumerate(quarantined)]
        journal.events.append(Note(9, "something else"))
        imported(store, paths, journal)
    report = run_report(store, RUN_ID)
    assert report.quarantined == (
        QuarantinedUnit("hung %.test", 4, ("alpha", "beta")),
        QuarantinedUnit("odd \udcff", 3, ("alpha",)),
    )
    assert {run.notes for run in report.hosts} == {("something else",)}


def test_a_report_may_be_of_some_hosts_only_and_then_knows_nothing_of_the_others(
    store: Store, paths: LocalPaths
) -> None:
    alpha = (
        JournalBuilder(host="alpha").attempt(0, "a.test", 0, 3, "fail", message="of alpha").attempt(0, "a.test", 3, 9)
    )
    beta = JournalBuilder(host="beta").attempt(0, "b.test", 0, 3, "fail", message="of beta").attempt(0, "b.test", 3, 5)
    beta.events.append(Note(6, quarantine_text(Quarantine("b.test", 3))))
    imported(store, paths, alpha, beta)
    part, whole = run_report(store, RUN_ID, ("beta", "beta", "never there")), run_report(store, RUN_ID)
    assert [run.host for run in part.hosts] == ["beta"]
    assert (part.summary.attempts, whole.summary.attempts) == (2, 4)
    for of_part, of_whole in (
        (part.failing, whole.failing),
        (part.causes, whole.causes),
        (part.flaky, whole.flaky),
        (part.slowest, whole.slowest),
    ):
        assert (len(of_part), len(of_whole)) == (1, 2)
    assert part.quarantined == whole.quarantined
    assert run_report(store, RUN_ID, ("alpha",)).quarantined == ()
    with pytest.raises(RunError, match="from gamma"):
        run_report(store, RUN_ID, ("gamma",))
