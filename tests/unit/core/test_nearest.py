from __future__ import annotations

import pytest

from sltfleet.core.nearest import did_you_mean, nearest


@pytest.mark.parametrize(
    ("word", "expected"),
    [("includ", "include"), ("inculde", "include"), ("exclud", "exclude"), ("zzz", None), ("", None)],
)
def test_the_nearest_word_is_the_one_that_was_meant(word: str, expected: str | None) -> None:
    assert nearest(word, ["include", "exclude", "root"]) == expected


def test_a_question_is_asked_only_where_a_word_is_alike() -> None:
    assert did_you_mean("timeot", ["timeout", "budget"]) == "did you mean 'timeout'?"
    assert did_you_mean("colour", ["timeout", "budget"]) == ""


def test_the_end_of_a_single_known_word_is_that_word() -> None:
    assert nearest("is_flaky", ["shop::basket::is_flaky", "shop::basket::adds_up"]) == "shop::basket::is_flaky"
    assert nearest("x", ["a::x", "b::x"]) is None
