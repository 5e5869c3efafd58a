from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sltfleet.core.duration import MAX_DURATION_S, DurationError, check_duration, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("300", 300),
        ("0.5", 0.5),
        ("300s", 300),
        ("500ms", 0.5),
        ("5m", 300),
        ("1h30m", 5400),
        ("2d", 172800),
        ("1.5h", 5400),
        ("1d2h3m4s5ms", 93784.005),
        ("1h 05m", 3900),
        (" 7s ", 7),
    ],
)
def test_durations_are_read_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    ["", "s", "-1", "1x", "1:30", "5 m 3", "30m1h", "1m1m", "1e3", "inf", "nan", "0", "0s", "٣s", "1,5h", "9" * 5000],
)  # fmt: skip
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(DurationError):
        parse_duration(text)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf"), MAX_DURATION_S * 2])
def test_numbers_outside_of_all_campaigns_are_refused(seconds: float) -> None:
    with pytest.raises(DurationError):
        check_duration(seconds)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0s"),
        (0, "0s"),
        (0.45, "450ms"),
        (0.9996, "1.0s"),
        (7.25, "7.2s"),
        (59.96, "1m 00s"),
        (65, "1m 05s"),
        (3599.6, "1h 00m"),
        (3900, "1h 05m"),
        (86399, "1d 00h"),
        (2 * 86400 + 3 * 3600, "2d 03h"),
    ],
)
def test_tables_show_the_two_largest_parts(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(0, 300), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59), st.integers(1, 999))
def test_written_parts_add_up(days: int, hours: int, minutes: int, seconds: int, milliseconds: int) -> None:
    expected = ((days * 24 + hours) * 60 + minutes) * 60 + seconds + milliseconds / 1000
    assert parse_duration(f"{days}d{hours}h{minutes}m{seconds}s{milliseconds}ms") == pytest.approx(expected)


@given(st.floats(0.001, MAX_DURATION_S * 0.99))
def test_what_is_shown_can_be_read_again_and_is_off_by_its_last_digit_at_most(seconds: float) -> None:
    again = parse_duration(format_duration(seconds))
    last_digit = (
        0.001 if seconds < 1 else 0.1 if seconds < 60 else 1 if seconds < 3600 else 60 if seconds < 86400 else 3600
    )
    assert abs(again - seconds) <= last_digit


@given(st.text())
def test_any_other_text_is_an_error_and_nothing_worse(text: str) -> None:
    with contextlib.suppress(DurationError):
        assert 0 < parse_duration(text) <= MAX_DURATION_S
