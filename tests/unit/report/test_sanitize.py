from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sltfleet.report.sanitize import NO_NAME, visible, visible_name

#: Every code point, lone surrogates and unassigned ones included.
ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, ümläut, 日本語, 🦀", "plain text, ümläut, 日本語, 🦀"),
        ("\x1b[31mred\x1b[0m", "␛[31mred␛[0m"),
        ("\x1b]0;title\x07", "␛]0;title␇"),
        ("\x9b2J", "\\x9b2J"),
        ("\x7f", "␡"),
        ("a\0b\r\n\tc", "a␀b␍␊␉c"),
        ("evil\u202etxt.exe", "evil\\u202etxt.exe"),
        ("ad\u200bmin\u2060\ufeff", "ad\\u200bmin\\u2060\\ufeff"),
        ("\udc80", "\\udc80"),
        ("\U000e0041", "\\U000e0041"),
        ("\u3164\u2800", "\\u3164\\u2800"),
        ("line\u2028separator", "line\\u2028separator"),
        ("e\u0301", "e\u0301"),
    ],
)
def test_what_a_terminal_would_obey_or_hide_is_made_visible(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.parametrize(
    ("name", "shown"), [("", NO_NAME), ("  \u3000", NO_NAME), ("\n", "␊"), (" a", " a"), ("\u200b", "\\u200b")]
)
def test_a_name_that_shows_nothing_is_told_as_none(name: str, shown: str) -> None:
    assert visible_name(name) == shown
    assert visible_name(name, limit=60) == shown


@given(ANY_TEXT)
def test_no_text_brings_a_hidden_character_to_the_terminal(text: str) -> None:
    shown = visible(text)
    assert all(unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for character in shown)
    shown.encode("utf-8")


@given(ANY_TEXT)
def test_several_lines_keep_their_line_ends_and_tabs_and_nothing_else(text: str) -> None:
    shown = visible(text, one_line=False)
    assert shown.count("\n") == text.count("\n")
    assert visible(shown.replace("\n", "").replace("\t", "")) == shown.replace("\n", "").replace("\t", "")


@given(ANY_TEXT, st.integers(0, 20))
def test_a_limit_is_kept_and_a_cut_is_marked(text: str, limit: int) -> None:
    whole, shown = visible(text), visible(text, limit=limit)
    assert len(shown) <= limit
    assert shown == whole if len(whole) <= limit else shown[:-1] == whole[: max(0, limit - 1)]
    assert len(whole) <= limit or shown.endswith("…") or limit == 0


@given(
    st.text(st.characters(categories=("L", "N", "P", "S", "Zs"), exclude_characters="\u115f\u1160\u3164\uffa0\u2800"))
)
def test_printable_text_of_any_script_stays_as_it_is(text: str) -> None:
    assert visible(text) == text
