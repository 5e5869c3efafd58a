"""The folder `.sltfleet/` beside fleet.yaml: made where it is missing, for its owner's eyes only, and ignored by git.

Git's status shows what git does not ignore, and a run's digest of uncommitted changes would be another after a fetch.
"""

from __future__ import annotations

from pathlib import Path

_IGNORE_ALL = "# Made by sltfleet: fetched results are no part of the repository.\n*\n"


def make_state_folder(state_dir: Path, folder: Path) -> None:
    """Make `folder`, which is `state_dir` or lies below it, unless it is there. Raises OSError."""
    # First by itself: the mode is not that of parents that are made on the way.
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    ignore = state_dir / ".gitignore"
    if not ignore.exists():
        ignore.write_text(_IGNORE_ALL)
