"""A worker's own view of the tree, for suites that write fixed file names below their working directory.

The folders from the root down to the package are real; everything beside that path is a link into the tree, except
`target`, which is a real folder of the worker's own in the root and in the package.
"""

from __future__ import annotations

import contextlib
import os
from typing import List, Tuple

from sltfleet.runner.files import make_folder

TARGET = "target"


def make_view(tree: str, view: str, package_dir: str) -> None:
    """Make the folder `view` a view of `tree`, or add what it lacks to be one. Raises OSError."""
    for original, own, skip in _levels(tree, view, package_dir):
        make_folder(own)
        for name in os.listdir(original):
            if name != skip and name != TARGET:
                with contextlib.suppress(FileExistsError):
                    os.symlink(os.path.join(original, name), os.path.join(own, name))
    make_targets(view, package_dir)


def make_targets(root: str, package_dir: str) -> None:
    """Make the folder `target` in `root` and in its package. Raises OSError."""
    make_folder(os.path.join(root, TARGET))
    make_folder(os.path.join(root, package_dir, TARGET))


def _levels(tree: str, view: str, package_dir: str) -> List[Tuple[str, str, str]]:
    """The folders from the root to the package: the original, the view's, and the entry that is a level of its own."""
    parts = [part for part in package_dir.split("/") if part not in ("", ".")]
    return [
        (os.path.join(tree, *parts[:depth]), os.path.join(view, *parts[:depth]), [*parts, ""][depth])
        for depth in range(len(parts) + 1)
    ]
