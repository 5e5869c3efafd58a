"""The notes about quarantine, as the runner writes them and the report reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sltfleet.wire.quarantine import Quarantine, quarantine_from_text, quarantine_text


@given(st.text(), st.integers(0, 999))
def test_what_is_written_is_read_whatever_the_units_name(unit: str, timeouts: int) -> None:
    told = Quarantine(unit, timeouts)
    assert quarantine_from_text(quarantine_text(told)) == told


@pytest.mark.parametrize("text", ["", "in quarantine", "in quarantine after many timeouts in a row: x", "left out: x"])
def test_another_note_is_about_something_else(text: str) -> None:
    assert quarantine_from_text(text) is None
