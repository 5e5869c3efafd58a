from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sltfleet.core.runid import is_run_id, new_run_id, started_at_s

NOON_S = 1_795_435_392.0  # 2026-11-23 12:03:12 UTC
MOMENTS = st.floats(0, 4_000_000_000)


def test_an_id_tells_the_time_in_utc_and_the_chance_in_hex() -> None:
    assert new_run_id(NOON_S, 0x3F9A1C) == "20261123-120312-3f9a1c"


@given(MOMENTS, st.integers(0, 2**64))
def test_every_new_id_is_one_and_is_a_plain_word(now_s: float, chance: int) -> None:
    run_id = new_run_id(now_s, chance)
    assert is_run_id(run_id)
    assert shlex.quote(run_id) == run_id


@given(st.integers(0, 4_000_000_000))
def test_an_id_tells_the_second_of_the_start(now_s: int) -> None:
    assert started_at_s(new_run_id(now_s, 0)) == now_s


@pytest.mark.parametrize("run_id", ["", "20261340-120312-3f9a1c", "00000000-000000-000000", "20261123"])
def test_an_id_of_no_moment_tells_none(run_id: str) -> None:
    assert started_at_s(run_id) is None


@given(MOMENTS, MOMENTS)
def test_ids_sort_by_time(one_s: float, other_s: float) -> None:
    earlier, later = sorted((int(one_s), int(other_s)))
    assert new_run_id(earlier, 0) <= new_run_id(later, 0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "current",
        "..",
        "../20261123-120312-3f9a1c",
        "20261123-120312-3f9a1c/..",
        "20261123-120312-3f9a1c\n",
        " 20261123-120312-3f9a1c",
        "20261123-120312-3F9A1C",
        "20261123-120312-3f9a1",
        "２０２６1123-120312-3f9a1c",
    ],
)
def test_nothing_else_is_a_run_id(text: str) -> None:
    assert not is_run_id(text)
