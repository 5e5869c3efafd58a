"""Makes a run's own tree: a hard-linked snapshot of the repo, and a copy of the test executable.

A sync during the run replaces files by renaming new ones into place, so it never changes what a snapshot links to.
Where links are impossible (another filesystem, too many links) files are copied. `target` folders in the root and in
the packages are left out: tests write into them, and a write must never reach the repo.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from typing import Tuple

from sltfleet.runner.files import FOLDER_MODE, make_folder
from sltfleet.runner.views import TARGET


class WrongBinaryError(Exception):
    """The executable is not the one that was built: its SHA-256 is `found`, not `expected`."""

    def __init__(self, path: str, found: str, expected: str) -> None:
        super().__init__(f"{path} has SHA-256 {found}, the build had {expected}")
        self.path = path
        self.found = found
        self.expected = expected


def snapshot(source: str, target: str, *package_dirs: str) -> None:
    """Make `target` a snapshot of the folder `source`. Raises OSError."""
    outside = {os.path.normpath(os.path.join(source, folder, TARGET)) for folder in ("", *package_dirs)}
    os.mkdir(target, FOLDER_MODE)
    pending = [(source, target)]
    while pending:
        original, copy = pending.pop()
        with os.scandir(original) as entries:
            for entry in entries:
                place = os.path.join(copy, entry.name)
                if entry.is_symlink():
                    os.symlink(os.readlink(entry.path), place)
                elif entry.is_dir():
                    if os.path.normpath(entry.path) not in outside:
                        os.mkdir(place, FOLDER_MODE)
                        pending.append((entry.path, place))
                elif entry.is_file():
                    _link_or_copy(entry.path, place)


def copy_binary(built: str, target: str, digest: str) -> None:
    """Copy the executable and check the copy. Raises OSError, and WrongBinaryError for another digest."""
    make_folder(os.path.dirname(target))
    shutil.copyfile(built, target)
    os.chmod(target, 0o700)
    found = sha256_of(target)
    if found != digest.lower():
        raise WrongBinaryError(built, found, digest)


def sha256_of(path: str) -> str:
    """Return the SHA-256 of a file, in hex. Raises OSError."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while True:
            block = file.read(1 << 20)
            if not block:
                return digest.hexdigest()
            digest.update(block)


def library_folders(built: str) -> Tuple[str, ...]:
    """Return where the executable's shared libraries lie, as cargo says at run time: its folder and the one above."""
    folder = os.path.dirname(built)
    return folder, os.path.dirname(folder)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)
