"""Reads a repo's revision: HEAD, and a digest of all that differs from it, untracked files and submodules too; and
which checkout it is.

Contents are hashed as they lie there; git is asked only which paths differ, so no setting of its diff changes the
digest.
"""

from __future__ import annotations

import hashlib
import os
import platform
import stat
from pathlib import Path

from sltfleet.core.errors import SyncError
from sltfleet.core.origin import Origin, make_origin
from sltfleet.core.revision import Change, Revision, dirty_digest, parse_changed_paths
from sltfleet.transport.git import is_git_tree, list_paths, list_submodules, read_head, run_git

#: machine-id(5).
_MACHINE_ID = Path("/etc/machine-id")

_CHUNK_BYTES = 1024 * 1024


def read_revision(repo: Path) -> Revision:
    """Return the revision of the working tree `repo` (or of this part of a larger one).

    Raises SyncError where git fails.
    """
    if not is_git_tree(repo):
        return Revision("", "")
    commit = read_head(repo)
    submodules = {os.fsencode(submodule.path): submodule for submodule in list_submodules(repo)}
    paths = set(_changed_paths(repo, commit)) - submodules.keys()
    changes = [_describe(repo, path) for path in paths]
    for path, submodule in submodules.items():
        folder = repo / submodule.path
        if (folder / ".git").exists():
            inner = read_revision(folder)
            if inner != Revision(submodule.commit, ""):
                changes.append(Change(path, "submodule", f"{inner.commit} {inner.dirty_digest}"))
    return Revision(commit, dirty_digest(changes))


def read_origin(repo: Path) -> Origin:
    """Return which checkout `repo` is, among those of all machines."""
    try:
        machine_id = _MACHINE_ID.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        machine_id = ""
    return make_origin(machine_id, platform.node(), os.fspath(repo.resolve()))


def _changed_paths(repo: Path, commit: str) -> list[bytes]:
    untracked = [os.fsencode(path) for path in list_paths(repo, "--others", "--exclude-standard")]
    if not commit:
        return untracked + [os.fsencode(path) for path in list_paths(repo, "--cached")]
    # Not diff-index: that takes a file for changed whose times alone differ.
    options = ("--raw", "-z", "--no-renames", "--no-ext-diff", "--relative", "--ignore-submodules=all")
    return untracked + parse_changed_paths(run_git(repo, "diff", *options, "HEAD", "--", "."))


def _describe(repo: Path, path: bytes) -> Change:
    full = os.path.join(os.fsencode(repo), path)  # noqa: PTH118 - bytes: a name may be no text
    try:
        mode = os.lstat(full).st_mode
        if stat.S_ISLNK(mode):
            return Change(path, "link", hashlib.sha256(os.readlink(full)).hexdigest())  # noqa: PTH115
        if stat.S_ISREG(mode):
            return Change(path, "executable" if mode & stat.S_IXUSR else "file", _digest(full))
        # The folder of a repository inside this one, or something that no sync brings.
        return Change(path, "other", "")
    except FileNotFoundError:
        return Change(path, "missing", "")
    except OSError as error:
        raise SyncError(
            f"cannot read {os.fsdecode(full)}", str(error.strerror), "see `ls -ld` of it and of its folders"
        ) from error


def _digest(path: bytes) -> str:
    whole = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            whole.update(chunk)
    return whole.hexdigest()
