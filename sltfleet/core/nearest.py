"""The nearest known word to one that is not known: "did you mean …?"."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word most like `word`, None where none is alike (difflib's ratio below 0.6)."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return found[0] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return "did you mean 'x'?", or "" where no known word is alike."""
    found = nearest(word, known)
    return f"did you mean {found!r}?" if found else ""
