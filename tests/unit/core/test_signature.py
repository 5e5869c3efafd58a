from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sltfleet.core.signature import MAX_CHARS, signature
from tests.support.cases import load_cases

CASES = [*load_cases("signature/masked"), *load_cases("signature/shapes")]

#: Text made of what the masks are about, so that they meet each other in every way.
PIECES = st.lists(
    st.sampled_from(
        [*"'\"`/.:-+,;<>[]()|\n\t ", "0x", "1", "9c40d1a", "<n>", "<text>", "a.rs", "[SQL]", "left:", " | "]
    )
    | st.text(max_size=4),
    max_size=40,
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_message_has_the_signature_of_its_case(case: dict[str, Any]) -> None:
    assert signature(case["message"]) == case["signature"]


@given(st.text(max_size=400) | PIECES.map("".join))
def test_a_signature_is_its_own_signature_and_short(message: str) -> None:
    found = signature(message)
    assert signature(found) == found
    assert len(found) <= MAX_CHARS
    assert "\n" not in found


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.floats(allow_nan=False, allow_infinity=False))
def test_values_do_not_tell_two_failures_apart(first: int, second: int, real: float) -> None:
    def message(line: int, value: object) -> str:
        return f"line {line}: expected {value}, got '{value}' at corpus/select/slt_good_{line}.test:{line}"

    assert signature(message(first, first)) == signature(message(second, real))


@given(st.sampled_from(["no such table", "syntax error", "disk full"]), st.sampled_from(["no such column", "locked"]))
def test_words_do(one: str, other: str) -> None:
    assert signature(f"{one}: 1") != signature(f"{other}: 1")


def test_a_message_of_any_length_takes_no_time() -> None:
    for character in "a1/'`<.-+ ":
        assert len(signature(character * 1_000_000)) <= MAX_CHARS
