"""Checks a folder into which a run was fetched: what is no plain file with a plain name is taken away and named.

rsync was told to bring nothing else; this is for the day on which it does so all the same.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

#: artifacts/last/NAME is the deepest that a runner writes.
MAX_DEPTH = 8

#: So many of the names that were taken away are told.
MAX_NAMES = 20


@dataclass(frozen=True)
class FetchedFolder:
    """What is there: files, their bytes, and how many entries were taken away, with the first of their names.

    The names are as the host made them: for display they must be made visible.
    """

    files: int
    size_bytes: int
    removed: int = 0
    removed_names: tuple[str, ...] = ()


def check_fetched(folder: Path) -> FetchedFolder:
    """Look at everything below `folder`, follow nothing, and remove what does not belong there. Raises OSError."""
    files = size_bytes = 0
    removed: list[str] = []
    pending = [(folder, 0)]
    while pending:
        place, depth = pending.pop()
        with os.scandir(place) as entries:
            for entry in entries:
                is_folder = entry.is_dir(follow_symlinks=False)
                plain = is_folder or entry.is_file(follow_symlinks=False)
                if not plain or not is_plain_name(entry.name) or depth >= MAX_DEPTH:
                    removed.append(os.path.relpath(entry.path, folder))
                    _remove(Path(entry.path), is_folder=is_folder)
                elif is_folder:
                    pending.append((Path(entry.path), depth + 1))
                else:
                    files += 1
                    size_bytes += entry.stat(follow_symlinks=False).st_size
    removed.sort()
    return FetchedFolder(files, size_bytes, len(removed), tuple(removed[:MAX_NAMES]))


def is_plain_name(name: str) -> bool:
    """Whether a file's name is one that a runner writes: visible characters, all of them text."""
    return name.isprintable() and not name.startswith("-")


def _remove(path: Path, *, is_folder: bool) -> None:
    if is_folder:
        shutil.rmtree(path)
    else:
        path.unlink()
