"""Patterns are read as gitignore(5) says and written for rsync(1). test_sync_selection asks the real programs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sltfleet.core.gitignore import Pattern, as_rsync, escape, parse_patterns


@pytest.mark.parametrize(
    ("line", "pattern"),
    [
        ("*.o", Pattern(False, False, ("**", "*.o"))),
        ("/build", Pattern(False, False, ("build",))),
        ("a/b", Pattern(False, False, ("a", "b"))),
        ("target/", Pattern(False, True, ("**", "target"))),
        ("!keep", Pattern(True, False, ("**", "keep"))),
        ("\\!bang", Pattern(False, False, ("**", "\\!bang"))),
        ("\\#hash", Pattern(False, False, ("**", "\\#hash"))),
        ("a/**/b", Pattern(False, False, ("a", "**", "b"))),
        ("f**o", Pattern(False, False, ("**", "f*o"))),
        ("spaces   ", Pattern(False, False, ("**", "spaces"))),
        ("kept\\ ", Pattern(False, False, ("**", "kept\\ "))),
        ("dos\r", Pattern(False, False, ("**", "dos"))),
        ("[]x]", Pattern(False, False, ("**", "[]x]"))),
    ],
)
def test_a_line_is_read_as_git_reads_it(line: str, pattern: Pattern) -> None:
    assert parse_patterns(f"# first\n\n{line}\n") == [pattern]


@pytest.mark.parametrize("line", ["", "   ", "# comment", "!", "/", "//", "a//b", "open[", "end\\"])
def test_a_line_that_matches_nothing_is_left_out(line: str) -> None:
    assert parse_patterns(line) == []


@pytest.mark.parametrize(
    ("line", "folder", "named", "below"),
    [
        ("foo", "", ["/**/foo", "/foo"], ["/**/foo/**", "/foo/**"]),
        ("/foo/", "", ["/foo/"], ["/foo/**"]),
        ("foo", "a[b", ["/a\\[b/**/foo", "/a\\[b/foo"], ["/a\\[b/**/foo/**", "/a\\[b/foo/**"]),
        ("a/**", "", ["/a/**"], []),
        ("/x\\ y", "", ["/x y"], ["/x\\ y/**"]),
        ("/x\\*", "", ["/x\\*"], ["/x\\*/**"]),
    ],
)
def test_a_pattern_becomes_rsyncs(line: str, folder: str, named: list[str], below: list[str]) -> None:
    (pattern,) = parse_patterns(line)
    assert as_rsync(pattern, folder) == (named, below)


def test_a_backslash_is_escaped_only_where_rsync_takes_it_for_an_escape() -> None:
    assert escape("back\\slash") == "back\\slash"
    assert escape("back\\slash", wild=True) == "back\\\\slash"
    assert escape("star*") == "star\\*"


@given(st.text())
def test_no_text_is_too_odd_to_be_read(text: str) -> None:
    for pattern in parse_patterns(text):
        for texts in as_rsync(pattern, "sub"):
            assert all(line.startswith("/sub/") for line in texts)
