"""Path patterns."""

from __future__ import annotations

import contextlib
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sltfleet.wire.globs import GlobError, compile_glob, literal, matches_any, select

NAMES = st.text("ab.-[]*?\n é", min_size=1, max_size=4).filter(lambda name: name not in (".", ".."))
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("**/*.test", "a.test", True),
        ("**/*.test", "a/b/c.test", True),
        ("*.test", "a/b.test", False),
        ("a/**", "a/b/c", True),
        ("a/**", "a", False),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("a/**/b", "ax/b", False),
        ("?.test", "ab.test", False),
        ("[ab].test", "b.test", True),
        ("[!ab].test", "b.test", False),
        ("[!ab].test", "c.test", True),
        ("[!a]b", "/b", False),
        ("[]]", "]", True),
        ("[a-c]x", "bx", True),
        ("[\\]", "\\", True),
        ("a.test", "aXtest", False),
        ("*", "line\nbreak", True),
        ("a", "a\n", False),
        ("3/*", "3/100", True),
        ("3/*", "13/100", False),
        ("**", "a/b", True),
        ("*", ".hidden", True),
    ],
)
def test_a_pattern_matches_what_it_says(pattern: str, path: str, matches: bool) -> None:
    assert (compile_glob(pattern).match(path) is not None) is matches


@pytest.mark.parametrize("pattern", ["", "/a", "a/../b", "..", "a**", "**b/c", "[a", "[", "[z-a]"])
def test_a_pattern_that_cannot_be_meant_is_an_error(pattern: str) -> None:
    with pytest.raises(GlobError):
        compile_glob(pattern)


@given(PATHS)
def test_two_stars_match_every_path(path: str) -> None:
    assert matches_any(path, ["**"])
    assert matches_any(path, ["**/*"])


@given(PATHS)
def test_a_path_with_its_special_characters_in_brackets_matches_itself_only(path: str) -> None:
    pattern = "".join(f"[{char}]" if char in "*?[" else char for char in path)
    assert matches_any(path, [pattern])
    assert not matches_any(path + "x", [pattern])


@given(st.text("ab*?[]!/-\\^", max_size=8), PATHS)
def test_any_text_is_a_pattern_or_an_error_of_its_own_kind(pattern: str, path: str) -> None:
    with contextlib.suppress(GlobError):
        assert matches_any(path, [pattern]) in (True, False)


@given(st.lists(PATHS, max_size=6), st.sampled_from(["*", "a*", "**/a", "*/*"]))
def test_what_is_excluded_is_not_selected_and_the_rest_is_sorted(paths: list[str], exclude: str) -> None:
    chosen = select(paths, ["**"], [exclude])
    assert chosen == sorted(path for path in paths if not matches_any(path, [exclude]))


@given(PATHS.filter(lambda path: "\n" not in path), st.sampled_from(["*", "a*", "*b", "?", "[ab]*", "*/a*", "a?/*"]))
def test_without_two_stars_the_rules_are_those_of_pathlib(path: str, pattern: str) -> None:
    same_depth = path.count("/") == pattern.count("/")
    assert matches_any(path, [pattern]) == (same_depth and PurePosixPath(path).match(pattern))


@given(PATHS, PATHS)
def test_a_literal_pattern_matches_its_path_and_no_other(path: str, other: str) -> None:
    assert matches_any(path, [literal(path)])
    assert matches_any(other, [literal(path)]) == (other == path)
