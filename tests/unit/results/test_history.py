from __future__ import annotations

from dataclasses import replace

import pytest

from sltfleet.core.paths import LocalPaths
from sltfleet.results.history import RECENT_RUNS, unit_history
from sltfleet.results.store import Store
from sltfleet.wire.events import AttemptFinished, Rusage
from sltfleet.wire.spec import UnitHistory
from tests.support.journals import JournalBuilder


def run(store: Store, paths: LocalPaths, day: int, *attempts: tuple[str, float, str], suite: str = "slt") -> None:
    run_id = f"202611{day:02d}-120000-00000{day % 10}"
    journal = JournalBuilder(run_id=run_id, suite=suite)
    for number, (unit, seconds, outcome) in enumerate(attempts):
        journal.attempt(0, unit, 100 * number, 100 * number + seconds, outcome)
    store.import_journal(run_id, "alpha", journal.write(paths, run_id=run_id))


def test_the_newest_run_with_a_verdict_decides_and_all_recent_ones_give_the_duration(
    store: Store, paths: LocalPaths
) -> None:
    run(store, paths, 1, ("was bad.test", 10, "fail"), ("is bad.test", 3, "pass"), ("only old.test", 7, "crash"))
    run(store, paths, 2, ("was bad.test", 20, "pass"), ("is bad.test", 5, "pass"), ("is bad.test", 4, "fail"))
    assert unit_history(store, "demo", "slt") == {
        "was bad.test": UnitHistory(rank=2, expected_s=15, longest_s=20, flaky_rate=0.5),
        "is bad.test": UnitHistory(rank=0, expected_s=4, longest_s=5, flaky_rate=0.333333),
        "only old.test": UnitHistory(rank=0, expected_s=7, longest_s=7),
    }


def test_timeouts_count_in_a_row_and_are_no_known_duration(store: Store, paths: LocalPaths) -> None:
    run(store, paths, 1, ("hangs.test", 3, "pass"), ("hangs.test", 30, "timeout"), ("back.test", 30, "timeout"))
    run(store, paths, 2, ("hangs.test", 30, "timeout"), ("back.test", 2, "pass"), ("hangs.test", 1, "cut"))
    found = unit_history(store, "demo", "slt")
    assert (found["hangs.test"].timeouts, found["hangs.test"].longest_s, found["hangs.test"].expected_s) == (2, 3, 30)
    assert (found["back.test"].timeouts, found["back.test"].longest_s) == (0, 2)


def test_what_a_new_build_mended_is_not_flaky_and_every_attempt_tells_of_its_memory(
    store: Store, paths: LocalPaths
) -> None:
    for day, build, outcome, peak in ((1, "b1", "fail", 10), (2, "b2", "pass", 30), (3, "b2", "cut", 50)):
        run_id = f"202611{day:02d}-120000-000000"
        journal = JournalBuilder(run_id=run_id, build_digest=build).attempt(0, "a.test", 0, 1, outcome)
        finished = journal.events[-1]
        assert isinstance(finished, AttemptFinished)
        journal.events[-1] = replace(finished, rusage=Rusage(max_rss_bytes=peak))
        store.import_journal(run_id, "alpha", journal.write(paths, run_id=run_id))
    assert unit_history(store, "demo", "slt") == {"a.test": UnitHistory(2, 1, 1, peak_bytes=50)}


@pytest.mark.parametrize("outcome", ["cut", "infra"])
def test_what_is_no_verdict_is_no_history(outcome: str, store: Store, paths: LocalPaths) -> None:
    run(store, paths, 1, ("a.test", 10, outcome))
    assert unit_history(store, "demo", "slt") == {}


def test_other_suites_and_old_runs_say_nothing(store: Store, paths: LocalPaths) -> None:
    run(store, paths, 1, ("ancient.test", 10, "fail"))
    for day in range(2, 2 + RECENT_RUNS):
        run(store, paths, day, ("a.test", 1, "pass"))
    run(store, paths, 9, ("b.test", 1, "pass"), suite="other")
    assert set(unit_history(store, "demo", "slt")) == {"a.test"}
    assert set(unit_history(store, "demo", "other")) == {"b.test"}
    assert unit_history(store, "another project", "slt") == {}
