"""A worker's own view of the tree, for suites that write fixed file names below their working directory.

The folders from the root down to each package are real; everything beside those paths is a link into the tree, except
`target`, which is a real folder of the worker's own in the root and in each package.
"""

from __future__ import annotations

import contextlib
import os
from typing import Set, Tuple

from sltfleet.runner.files import make_folder

TARGET = "target"


def make_view(tree: str, view: str, *package_dirs: str) -> None:
    """Make the folder `view` a view of `tree`, or add what it lacks to be one. Raises OSError."""
    own_folders = _folders_down_to(package_dirs)
    for parts in sorted(own_folders):
        original, own = os.path.join(tree, *parts), os.path.join(view, *parts)
        make_folder(own)
        for name in os.listdir(original):
            if name != TARGET and (*parts, name) not in own_folders:
                with contextlib.suppress(FileExistsError):
                    os.symlink(os.path.join(original, name), os.path.join(own, name))
    make_targets(view, *package_dirs)


def make_targets(root: str, *package_dirs: str) -> None:
    """Make the folder `target` in `root` and in its packages. Raises OSError."""
    for folder in ("", *package_dirs):
        make_folder(os.path.join(root, folder, TARGET))


def _folders_down_to(package_dirs: Tuple[str, ...]) -> Set[Tuple[str, ...]]:
    """The parts of the root's path, of each package's, and of all between."""
    folders: Set[Tuple[str, ...]] = {()}
    for package_dir in package_dirs:
        parts = tuple(part for part in package_dir.split("/") if part not in ("", "."))
        folders.update(parts[:depth] for depth in range(1, len(parts) + 1))
    return folders
