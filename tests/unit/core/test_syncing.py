"""What is remembered of a sync, and what build and run make of it."""

from __future__ import annotations

import json

import pytest

from sltfleet.core.syncing import (
    INCOMPLETE_CODE,
    NEVER_CODE,
    SyncRecord,
    next_content_id,
    record_from_json,
    record_to_json,
    sync_problem,
)

RECORD = SyncRecord("ab12", "c0ffee", "", 3, 400, 1.5, "0.1.0")


def test_a_record_comes_back_as_it_was_written() -> None:
    assert record_from_json(record_to_json(RECORD).decode()) == RECORD


def test_a_record_from_before_origins_were_kept_is_read() -> None:
    old = {key: value for key, value in json.loads(record_to_json(RECORD)).items() if not key.startswith("origin")}
    assert record_from_json(json.dumps(old)) == RECORD


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"content_id": 1}', "[" * 100_000])
def test_a_damaged_record_is_none(text: str) -> None:
    assert record_from_json(text) is None


def test_the_content_id_stays_only_where_nothing_can_have_changed() -> None:
    assert next_content_id(RECORD, interrupted=False, changed=False, fresh_id="new") == "ab12"
    assert next_content_id(RECORD, interrupted=False, changed=True, fresh_id="new") == "new"
    assert next_content_id(RECORD, interrupted=True, changed=False, fresh_id="new") == "new"
    assert next_content_id(None, interrupted=False, changed=False, fresh_id="new") == "new"


def test_a_tree_that_is_not_whole_is_refused_by_name() -> None:
    for code, what in ((INCOMPLETE_CODE, "not whole"), (NEVER_CODE, "not there")):
        problem = sync_problem(code)
        assert problem is not None
        assert (what in problem.what, "sltfleet sync" in problem.fix) == (True, True)
    assert sync_problem(0) is sync_problem(1) is None
