from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sltfleet.core.paths import LocalPaths
from sltfleet.results.history import earlier_runs
from sltfleet.results.speeds import FASTEST, FEWEST_UNITS, SLOWEST, host_speeds, speeds
from sltfleet.results.store import Store
from tests.support.journals import JournalBuilder

UNITS = [f"u{number}" for number in range(9)]


def run_by(host: str, factor: float, units: list[str] = UNITS) -> list[tuple[str, object, float]]:
    return [(host, unit, (1.0 + number) * factor) for number, unit in enumerate(units)]


def test_of_two_hosts_one_is_as_much_faster_as_its_attempts_are_shorter() -> None:
    found = speeds(run_by("slow", 2.0) + run_by("fast", 1.0))
    assert found["fast"] / found["slow"] == pytest.approx(2.0, abs=1e-3)
    assert found["fast"] * found["slow"] == pytest.approx(1.0, abs=1e-3)


def test_a_unit_that_is_odd_on_one_host_changes_nothing() -> None:
    plain = run_by("a", 1.0) + run_by("b", 1.0)
    assert speeds([*plain, ("a", "u3", 900.0), ("a", "u3", 900.0)]) == {"a": 1.0, "b": 1.0}


def test_hosts_that_have_too_little_in_common_are_not_compared() -> None:
    few = UNITS[: FEWEST_UNITS - 1]
    assert speeds(run_by("a", 1.0) + run_by("b", 3.0, few)) == {}
    assert speeds(run_by("a", 1.0)) == {}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(UNITS), st.floats(1e-6, 1e8)), max_size=60))
def test_whatever_hosts_say_no_speed_is_absurd(durations: list[tuple[str, object, float]]) -> None:
    assert all(round(SLOWEST, 4) <= speed <= FASTEST for speed in speeds(durations).values())


def fetched(store: Store, tmp_path: Path, suite: str, **factors: float) -> None:
    run_id = f"20261101-120000-{len(suite):06x}"
    for host, factor in factors.items():
        journal = JournalBuilder(run_id=run_id, host=host, suite=suite, units=tuple(UNITS))
        for number, unit in enumerate(UNITS):
            journal.attempt(0, unit, 100 * number, 100 * number + 4 * factor)
            journal.attempt(0, unit, 100 * number + 50, 100 * number + 51, "cut")
        store.import_journal(run_id, host, journal.write(LocalPaths(tmp_path), run_id=run_id, host=host))


def test_speeds_come_from_verdicts_of_the_same_suite_and_durations_are_the_reference_s(
    store: Store, tmp_path: Path
) -> None:
    fetched(store, tmp_path, "slt", alpha=1.0, beta=4.0)
    fetched(store, tmp_path, "other", alpha=9.0, beta=1.0)
    assert host_speeds(store, "demo", "slt") == {"alpha": 2.0, "beta": 0.5}
    earlier = earlier_runs(store, "demo", "slt")
    assert earlier.speeds == {"alpha": 2.0, "beta": 0.5}
    assert {known.expected_s for known in earlier.history.values()} == {8.0}
    assert host_speeds(store, "another project", "slt") == {}
