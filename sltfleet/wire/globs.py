"""Path patterns, the same on the controller (which checks them) and on the host (which matches them).

`*` and `?` match within one path component, `**` as a whole component matches any number of components, none included,
`[abc]`, `[a-z]` and `[!a]` match one character. Everything else stands for itself. Paths are relative, with `/`.
The rules are those of gitignore(5) and of Python's pathlib, without gitignore's implicit prefixes.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Iterable, List, Sequence


class GlobError(ValueError):
    """A pattern is not a valid glob."""


@lru_cache(maxsize=1024)
def compile_glob(pattern: str) -> "re.Pattern[str]":
    """Return the regular expression that a whole relative path must match. Raises GlobError."""
    if not pattern:
        raise GlobError("an empty pattern matches nothing: leave it out")
    if pattern.startswith("/"):
        raise GlobError(f"{pattern!r} is absolute: patterns are relative to their root")
    components = pattern.split("/")
    if ".." in components:
        raise GlobError(f"{pattern!r} leaves its root by '..'")
    out: List[str] = []
    last = len(components) - 1
    for index, component in enumerate(components):
        if component == "**":
            out.append("(?:[^/]+/)*" if index < last else "(?:[^/]+/)*[^/]+")
        else:
            out.append(_component(component, pattern) + ("/" if index < last else ""))
    return re.compile("".join(out) + r"\Z", re.DOTALL)


def literal(path: str) -> str:
    """Return the pattern that matches this relative path and no other."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in path)


def matches_any(path: str, patterns: Iterable[str]) -> bool:
    """Whether a relative path matches one of the patterns. Raises GlobError."""
    return any(compile_glob(pattern).match(path) for pattern in patterns)


def select(paths: Iterable[str], include: Sequence[str], exclude: Sequence[str] = ()) -> List[str]:
    """Return, sorted, the paths that match `include` and not `exclude`. Raises GlobError."""
    return sorted(path for path in paths if matches_any(path, include) and not matches_any(path, exclude))


def _component(text: str, pattern: str) -> str:
    if "**" in text:
        raise GlobError(f"{pattern!r}: '**' must stand alone between slashes")
    out: List[str] = []
    index = 0
    while index < len(text):
        char = text[index]
        index += 1
        if char == "*":
            out.append("[^/]*")
        elif char == "?":
            out.append("[^/]")
        elif char == "[":
            end = text.find("]", index + 2 if text[index : index + 1] == "!" else index + 1)
            if end < 0:
                raise GlobError(f"{pattern!r}: '[' without ']'")
            out.append(_character_set(text[index:end], pattern))
            index = end + 1
        else:
            out.append(re.escape(char))
    return "".join(out)


def _character_set(body: str, pattern: str) -> str:
    negated = body.startswith("!")
    escaped = "".join("\\" + char if char in "\\[]^&~|" else char for char in body[1 if negated else 0 :])
    try:
        re.compile(f"[{escaped}]")
    except re.error as error:
        raise GlobError(f"{pattern!r}: [{body}]: {error}") from None
    return f"(?!/)[{'^' if negated else ''}{escaped}]"
