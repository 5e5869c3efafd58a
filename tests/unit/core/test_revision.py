"""The digest of uncommitted changes."""

from __future__ import annotations

from sltfleet.core.revision import Change, dirty_digest, parse_changed_paths


def test_nothing_changed_has_no_digest() -> None:
    assert dirty_digest([]) == ""


def test_the_digest_depends_on_every_part_but_not_on_the_order() -> None:
    one, two = Change(b"a", "file", "1"), Change(b"b", "file", "2")
    assert dirty_digest([one, two]) == dirty_digest([two, one])
    others = [Change(b"a2", "file", "1"), Change(b"a", "link", "1"), Change(b"a", "file", "2")]
    digests = {dirty_digest([change]) for change in (one, *others)}
    assert len(digests) == 4


def test_raw_diffs_name_their_paths_whatever_these_look_like() -> None:
    head = b":100644 100644 1111111 0000000 M"
    assert parse_changed_paths(head + b"\0a b\0" + head + b"\0:new\nline\0") == [b"a b", b":new\nline"]
    assert parse_changed_paths(b"") == []
