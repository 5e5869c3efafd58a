from __future__ import annotations

from pathlib import Path

from sltfleet.core.paths import LocalPaths
from sltfleet.results.model import SharedHost
from sltfleet.results.queries import run_report
from sltfleet.results.store import Store
from tests.support.journals import RUN_ID, JournalBuilder


def two_hosts() -> tuple[JournalBuilder, JournalBuilder]:
    """Alpha does a and c; beta does b, and a again since it had been without the queue; then c in the second pass."""
    units = ("a.test", "b.test", "c.test")
    alpha = JournalBuilder(host="alpha", units=units).attempt(0, "a.test", 0, 1).attempt(0, "c.test", 1, 2)
    beta = JournalBuilder(host="beta", units=units).attempt(0, "b.test", 0, 1, "fail").attempt(0, "a.test", 1, 3)
    beta.attempt(0, "c.test", 3, 4, pass_number=2).attempt(0, "b.test", 4, 5, "cut", pass_number=2)
    return alpha.counted(1, 2), beta.counted(1).counted(3, pass_number=2)


def test_a_run_with_a_queue_has_one_counted_verdict_per_unit_and_pass(tmp_path: Path) -> None:
    paths = LocalPaths(tmp_path)
    for journal, host in zip(two_hosts(), ("alpha", "beta"), strict=True):
        journal.write(paths, host)
    with Store.open(paths) as store:
        first = run_report(store, RUN_ID)
        assert not any(imported.events for imported in store.import_run(paths, RUN_ID).values())
        assert run_report(store, RUN_ID) == first
    paths.database.unlink()
    with Store.open(paths) as anew:
        assert run_report(anew, RUN_ID) == first
    shared = first.shared
    assert shared is not None
    assert (shared.passes, shared.units_counted, shared.counted, shared.uncounted) == (1, 3, 4, 1)
    assert shared.hosts == (SharedHost("alpha", 2, 2, 0), SharedHost("beta", 1, 2, 1))


def test_a_pass_is_complete_when_each_unit_has_its_counted_verdict(tmp_path: Path) -> None:
    paths = LocalPaths(tmp_path)
    alpha, beta = two_hosts()
    beta.attempt(0, "a.test", 6, 7, pass_number=2).attempt(0, "b.test", 7, 8, pass_number=2)
    beta.counted(5, pass_number=2).write(paths, "beta")
    alpha.write(paths, "alpha")
    with Store.open(paths) as store:
        found = run_report(store, RUN_ID).shared
        assert found is not None
        assert (found.passes, found.uncounted) == (1, 2)
        beta.counted(6, pass_number=2).write(paths, "beta")
        store.import_run(paths, RUN_ID)
        found = run_report(store, RUN_ID).shared
        assert found is not None
        assert (found.passes, found.uncounted) == (2, 1)


def test_of_two_counted_verdicts_about_a_unit_in_a_pass_the_earlier_counts(tmp_path: Path) -> None:
    """The queue was begun anew in between, and so both hosts were told that theirs counts."""
    paths = LocalPaths(tmp_path)
    JournalBuilder(host="alpha").attempt(0, "a.test", 4, 5).counted(1).write(paths, "alpha")
    JournalBuilder(host="beta").attempt(0, "a.test", 0, 1).counted(1).write(paths, "beta")
    with Store.open(paths) as store:
        found = run_report(store, RUN_ID).shared
    assert found is not None
    assert (found.counted, found.uncounted) == (1, 1)
    assert found.hosts == (SharedHost("alpha", 0, 0, 1), SharedHost("beta", 1, 1, 0))


def test_what_the_queue_counts_is_no_verdict_without_an_end_in_the_journal(tmp_path: Path) -> None:
    paths = LocalPaths(tmp_path)
    journal = JournalBuilder().attempt(0, "a.test", 0, 1, "cut")
    journal.start(0, "b.test", 1)
    journal.counted(1, 2, 99).write(paths)
    with Store.open(paths) as store:
        assert run_report(store, RUN_ID).shared is None


def test_a_run_without_a_queue_says_nothing_of_one(tmp_path: Path) -> None:
    paths = LocalPaths(tmp_path)
    JournalBuilder().attempt(0, "a.test", 0, 1).write(paths)
    with Store.open(paths) as store:
        assert run_report(store, RUN_ID).shared is None


def test_a_pass_that_was_lost_with_the_queue_does_not_hide_the_complete_ones_after_it(tmp_path: Path) -> None:
    paths = LocalPaths(tmp_path)
    journal = JournalBuilder().attempt(0, "a.test", 0, 1).attempt(0, "b.test", 1, 2)
    journal.attempt(0, "a.test", 2, 3, pass_number=4).attempt(0, "b.test", 3, 4, pass_number=4)
    journal.counted(1).counted(3, 4, pass_number=4).write(paths)
    with Store.open(paths) as store:
        found = run_report(store, RUN_ID).shared
    assert found is not None
    assert (found.passes, found.counted, found.uncounted) == (1, 3, 1)
