"""The nearest known word to one that is not known: "did you mean …?"."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word most like `word`, None where none is alike (difflib's ratio below 0.6).

    What is the only one to end with `word` comes first: `is_flaky` for `shop::basket::is_flaky`.
    """
    words = list(known)
    ends = [other for other in words if word and other.endswith(word)]
    found = ends if len(ends) == 1 else difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    return found[0] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return "did you mean 'x'?", or "" where no known word is alike."""
    found = nearest(word, known)
    return f"did you mean {found!r}?" if found else ""
