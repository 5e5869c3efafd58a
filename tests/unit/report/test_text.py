from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sltfleet.report.text import count, duration, of, percent


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0, "0.0 %"), (0.031, "3.1 %"), (0.99951, "99.9 %"), (0.999999, "99.9 %"), (1, "100.0 %"), (None, "-")],
)
def test_a_share_has_one_decimal_and_only_a_whole_one_is_a_hundred(share: float | None, shown: str) -> None:
    assert percent(share) == shown


@given(st.floats(0, 1))
def test_less_than_the_whole_never_looks_like_it(share: float) -> None:
    assert (percent(share) == "100.0 %") == (share == 1.0)


@pytest.mark.parametrize(
    ("number", "shown"),
    [(0, "0"), (7, "7"), (7.25, "7.2"), (999.5, "999.5"), (1000.4, "1,000"), (5_900_000, "5,900,000")],
)
def test_counts_have_commas_and_small_ones_a_decimal(number: float, shown: str) -> None:
    assert count(number) == shown


def test_an_unknown_duration_is_a_dash() -> None:
    assert (duration(None), duration(83)) == ("-", "1m 23s")


def test_a_part_of_a_whole_is_shown_with_both() -> None:
    assert of(12, 1234) == "12/1,234"
