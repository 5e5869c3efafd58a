"""What is remembered of a sync, and what build and run make of it."""

from __future__ import annotations

import pytest

from sltfleet.core.errors import HostError, SyncError
from sltfleet.core.syncing import (
    INCOMPLETE_CODE,
    NEVER_CODE,
    SyncRecord,
    next_content_id,
    parse_whole_sync,
    record_from_json,
    record_to_json,
)

RECORD = SyncRecord("ab12", "c0ffee", "", 3, 400, 1.5, "0.1.0")


def test_a_record_comes_back_as_it_was_written() -> None:
    assert record_from_json(record_to_json(RECORD).decode()) == RECORD


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"content_id": 1}', "[" * 100_000])
def test_a_damaged_record_is_none(text: str) -> None:
    assert record_from_json(text) is None


def test_the_content_id_stays_only_where_nothing_can_have_changed() -> None:
    assert next_content_id(RECORD, interrupted=False, changed=False, fresh_id="new") == "ab12"
    assert next_content_id(RECORD, interrupted=False, changed=True, fresh_id="new") == "new"
    assert next_content_id(RECORD, interrupted=True, changed=False, fresh_id="new") == "new"
    assert next_content_id(None, interrupted=False, changed=False, fresh_id="new") == "new"


def test_a_tree_that_is_not_whole_is_refused_by_name() -> None:
    assert parse_whole_sync(0, record_to_json(RECORD).decode(), "") == RECORD
    for code in (INCOMPLETE_CODE, NEVER_CODE):
        with pytest.raises(SyncError) as caught:
            parse_whole_sync(code, "", "")
        assert "sltfleet sync" in caught.value.fix
    with pytest.raises(SyncError, match="damaged"):
        parse_whole_sync(0, "{", "")
    with pytest.raises(HostError):
        parse_whole_sync(1, "", "cat: Permission denied")
