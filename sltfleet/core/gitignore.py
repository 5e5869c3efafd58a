""".gitignore's patterns, written as rsync's.

What is sent is decided by git itself (see `transport.worktree`); these translations serve where git cannot be asked:
for files that are only on a host, and for the patterns of fleet.yaml. The rules are those of gitignore(5) and of
rsync(1), "PATTERN MATCHING RULES". docs/decisions/003-what-is-synced.md says why both are needed.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

_WILDCARDS = frozenset("*?[")
_ANY_FOLDERS = "**"

#: The pattern, then spaces, which count only behind a backslash. A backslash at the very end makes a line match
#: nothing.
_LINE = re.compile(r"((?:\\.|[^\\])*?) *", re.DOTALL)

#: An escaped character, a run of stars, or one bracket expression.
_TOKEN = re.compile(r"\\.|\*+|\[[!^]?\]?(?:\[:\w+:\]|\\.|[^\]\\])*\]|.", re.DOTALL)


@dataclass(frozen=True)
class Pattern:
    """One line of a .gitignore. `segments` is the pattern cut at its slashes; `**` stands for any number of folders."""

    negated: bool
    folder_only: bool
    segments: tuple[str, ...]


def parse_patterns(text: str) -> list[Pattern]:
    """Return the patterns of a .gitignore in the order of its lines, without those that can match nothing."""
    patterns = (_parse_line(line.removesuffix("\r")) for line in text.removeprefix("\ufeff").split("\n"))
    return [pattern for pattern in patterns if pattern is not None]


def _parse_line(line: str) -> Pattern | None:
    found = _LINE.fullmatch(line)
    if found is None or line.startswith("#"):
        return None
    text = found.group(1)
    negated = text.startswith("!")
    body = text[1:] if negated else text
    folder_only = body.endswith("/")
    body = body.removesuffix("/")
    anchored = "/" in body
    parts = body.removeprefix("/").split("/")
    if "" in parts or any(_is_broken(part) for part in parts):
        return None
    segments = [part if part == _ANY_FOLDERS else _single_stars(part) for part in parts]
    if not anchored:
        segments.insert(0, _ANY_FOLDERS)
    return Pattern(negated, folder_only, tuple(segments))


def _is_broken(segment: str) -> bool:
    """Whether a bracket is never closed, or a backslash ends the segment: git matches nothing with these."""
    return any(token in ("[", "\\") for token in _TOKEN.findall(segment))


def _single_stars(segment: str) -> str:
    """Return the segment with `**` inside a name as `*`, which is what it means to git but not to rsync."""
    return "".join("*" if token.startswith("*") else token for token in _TOKEN.findall(segment))


def as_rsync(pattern: Pattern, folder: str = "") -> tuple[list[str], list[str]]:
    """Return rsync's patterns for one in a .gitignore of `folder` ("": the top): what it names, and all below that.

    `folder` is a path without slashes at its ends. Several come back where git's `**/` may also stand for no folder
    at all.
    """
    *parents, last = pattern.segments
    if last == _ANY_FOLDERS:
        # `a/**` names everything below a: there is nothing that it names besides.
        below = [_join(folder, [*choice, _ANY_FOLDERS]) for choice in _choices(parents)]
        return below, []
    named = [_join(folder, [*choice, last], "/" if pattern.folder_only else "") for choice in _choices(parents)]
    return named, [_join(folder, [*choice, last, _ANY_FOLDERS]) for choice in _choices(parents)]


def escape(path: str, *, wild: bool = False) -> str:
    """Return the rsync pattern text that stands for the characters of `path` and nothing else.

    rsync knows a backslash only in a pattern that has a wildcard: `wild` says that the rest of the pattern has one.
    """
    if not wild and not _WILDCARDS & set(path):
        return path
    return re.sub(r"[*?\[\\]", r"\\\g<0>", path)


def _choices(parents: list[str]) -> list[list[str]]:
    """Return `parents` with each `**` once kept and once left out, since rsync's stands for one folder at least."""
    options = [(part, None) if part == _ANY_FOLDERS else (part,) for part in parents]
    return [[part for part in choice if part is not None] for choice in itertools.product(*options)]


def _join(folder: str, segments: list[str], end: str = "") -> str:
    wild = any(_WILDCARDS & set(segment) for segment in [*segments, folder])
    texts = segments if wild else [re.sub(r"\\(.)", r"\1", segment) for segment in segments]
    head = [escape(folder, wild=wild)] if folder else []
    return "/" + "/".join([*head, *texts]) + end
