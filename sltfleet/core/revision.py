"""Which state of a repo was tested: its commit, and a digest of what differs from it.

Pure: git and files are read by `app.revision`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Revision:
    """HEAD's hash ("" where there is none), and a SHA-256 in hex of what differs from it ("" where nothing does)."""

    commit: str
    dirty_digest: str


@dataclass(frozen=True)
class Change:
    """One path that is not as HEAD has it. `kind`: "file", "executable", "link", "missing", "submodule" or "other".

    `digest` is that of the file's bytes or of the link's target, for a submodule its commit and its own dirty digest.
    """

    path: bytes
    kind: str
    digest: str


def dirty_digest(changes: Iterable[Change]) -> str:
    """Return the digest of the changes, whatever their order; "" for none."""
    ordered = sorted(changes, key=lambda change: change.path)
    if not ordered:
        return ""
    whole = hashlib.sha256()
    for change in ordered:
        # No path has a NUL: no two lists of changes run together into the same bytes.
        whole.update(b"\0".join((change.path, change.kind.encode(), change.digest.encode(), b"")))
    return whole.hexdigest()


def parse_changed_paths(output: bytes) -> list[bytes]:
    """Return the paths that `git diff --raw -z --no-renames` names."""
    fields = output.split(b"\0")
    return [path for head, path in zip(fields[::2], fields[1::2], strict=False) if head.startswith(b":")]
