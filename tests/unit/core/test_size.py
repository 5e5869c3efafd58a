from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sltfleet.core.size import MAX_SIZE_BYTES, SizeError, check_size, format_size, parse_size


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("4096", 4096),
        ("1B", 1),
        ("500kB", 500_000),
        ("500KB", 500_000),
        ("4MiB", 4 * 1024**2),
        ("1.5GiB", 3 * 1024**3 // 2),
        ("2TB", 2 * 10**12),
        ("4.0 MiB", 4 * 1024**2),
        (" 1GiB ", 1024**3),
    ],
)
def test_sizes_are_read_as_people_write_them(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize(
    "text", ["", "4M", "4mib", "MiB", "-1", "1.5", "0", "0.1B", "1e3", "٣B", "4 M iB", "9" * 5000, "9999999TiB"]
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(SizeError):
        parse_size(text)


@pytest.mark.parametrize("size_bytes", [0, -1, float("nan"), float("inf"), MAX_SIZE_BYTES + 1])
def test_numbers_that_are_no_size_are_refused(size_bytes: float) -> None:
    with pytest.raises(SizeError):
        check_size(size_bytes)


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (512, "512 B"),
        (1023.7, "1.0 KiB"),
        (1024, "1.0 KiB"),
        (1024 * 1023.96, "1.0 MiB"),
        (4 * 1024**2, "4.0 MiB"),
        (5000 * 1024**4, "5000.0 TiB"),
    ],
)
def test_tables_show_binary_units_with_one_decimal(size_bytes: float, text: str) -> None:
    assert format_size(size_bytes) == text


@given(st.integers(1, MAX_SIZE_BYTES))
def test_a_number_of_bytes_is_read_as_itself(size_bytes: int) -> None:
    assert parse_size(str(size_bytes)) == parse_size(f"{size_bytes}") == size_bytes


@given(st.integers(1, MAX_SIZE_BYTES // 2))
def test_what_is_shown_can_be_read_again_and_is_off_by_its_last_digit_at_most(size_bytes: int) -> None:
    again = parse_size(format_size(size_bytes))
    assert abs(again - size_bytes) <= max(0.06 * size_bytes, 1)


@given(st.text())
def test_any_other_text_is_an_error_and_nothing_worse(text: str) -> None:
    with contextlib.suppress(SizeError):
        assert 1 <= parse_size(text) <= MAX_SIZE_BYTES
