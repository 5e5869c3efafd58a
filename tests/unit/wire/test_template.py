"""Placeholders in braces."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sltfleet.wire.template import PLACEHOLDERS, TemplateError, check_template, expand_template


@given(st.text())
def test_text_whose_braces_are_doubled_stands_for_itself(text: str) -> None:
    assert expand_template(text.replace("{", "{{").replace("}", "}}"), {}) == text


@given(st.lists(st.sampled_from(sorted(PLACEHOLDERS)) | st.text("ab $'\"", max_size=3), max_size=6), st.text())
def test_every_placeholder_is_replaced_once_and_values_are_never_looked_into(parts: list[str], value: str) -> None:
    template = "".join(f"{{{part}}}" if part in PLACEHOLDERS else part for part in parts)
    expected = "".join(value if part in PLACEHOLDERS else part for part in parts)
    assert expand_template(template, dict.fromkeys(PLACEHOLDERS, value)) == expected


@pytest.mark.parametrize(
    "text", ["{", "}", "a}b", "{nope}", "{unit.__class__}", "{unit!r}", "{unit:>9}", "{0}", "{}", "{ unit}"]
)
def test_anything_else_in_braces_is_an_error(text: str) -> None:
    with pytest.raises(TemplateError):
        check_template(text)


def test_an_unknown_placeholder_is_answered_with_the_known_ones() -> None:
    with pytest.raises(TemplateError, match=r"unknown placeholder \{unti\}.*unit, path"):
        check_template("x={unti}")


@given(st.text("{}aunit", max_size=12))
def test_any_text_expands_or_is_a_template_error(text: str) -> None:
    with contextlib.suppress(TemplateError):
        check_template(text)
