"""What counts as covered."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sltfleet.wire.coverage import Coverage, is_share

UNITS = ("a.test", "b.test", "c.test")
SHARES = ("0/3", "1/3", "2/3")


def covered(units: tuple[str, ...], *verdicts: tuple[str, int]) -> int:
    coverage = Coverage(len(units))
    for unit, seed in verdicts:
        coverage.add(unit, seed)
    return coverage.count


def test_a_unit_is_covered_by_a_verdict_in_any_pass_and_counts_once() -> None:
    assert covered(UNITS) == 0
    assert covered(UNITS, ("a.test", 1), ("a.test", 2), ("b.test", 2)) == 2


def test_shares_count_together_only_where_they_had_the_same_seed() -> None:
    assert covered(SHARES, ("0/3", 1), ("1/3", 2), ("2/3", 3)) == 1
    assert covered(SHARES, ("0/3", 1), ("1/3", 2), ("2/3", 1)) == 2
    assert covered(SHARES, ("0/3", 1), ("0/3", 2), ("1/3", 2), ("2/3", 2), ("1/3", 3)) == 3


def test_a_file_whose_path_looks_like_a_share_beside_others_is_not_lost() -> None:
    assert covered(("1/2", "a.test"), ("1/2", 1), ("a.test", 2)) == 2


@given(st.lists(st.tuples(st.sampled_from(SHARES), st.integers(0, 3)), max_size=40))
def test_coverage_is_that_of_the_best_seed_and_never_more(verdicts: list[tuple[str, int]]) -> None:
    best = max((len({unit for unit, of in verdicts if of == seed}) for _, seed in verdicts), default=0)
    assert covered(SHARES, *verdicts) == best


def test_only_two_numbers_make_a_share() -> None:
    assert is_share("3/40")
    assert not any(map(is_share, ("3/40.test", "a/40", "3/", "3/4/5", "3/4\n")))
