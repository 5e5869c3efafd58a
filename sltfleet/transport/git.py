"""git on the controller: runs it, and asks it which files a working tree has.

What is made of the answers is decided elsewhere.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sltfleet.core.errors import SyncError

#: git answers within a second on large repositories; a file system that hangs must not hang sltfleet.
GIT_TIMEOUT_S = 600.0

_GITLINK_MODE = "160000"


@dataclass(frozen=True)
class Submodule:
    """A submodule of a repository: its path there, and the commit that the repository records for it."""

    path: str
    commit: str


def run_git(repo: Path, *args: str) -> bytes:
    """Return what `git ARGS` prints in `repo`. Raises SyncError where git is missing or fails."""
    done = _git(repo, *args)
    if done.returncode != 0:
        detail = done.stderr.decode("utf-8", "replace").strip()
        raise SyncError(
            f"git cannot read {repo}",
            detail.split("\n", 1)[0],
            "mend what git complains of",
            detail=detail,
            command="git " + " ".join(args),
        )
    return done.stdout


def read_head(repo: Path) -> str:
    """Return the commit of HEAD, "" where nothing was committed yet. Raises SyncError where git is missing."""
    done = _git(repo, "rev-parse", "--verify", "--quiet", "HEAD")
    return done.stdout.decode("ascii", "replace").strip() if done.returncode == 0 else ""


def _git(repo: Path, *args: str) -> subprocess.CompletedProcess[bytes]:
    argv = ["git", "-C", os.fspath(repo), *args]
    try:
        return subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=_environment(),
            timeout=GIT_TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError as error:
        raise SyncError("git is not installed on this machine", f"{repo} is a git repository", "install git") from error
    except subprocess.TimeoutExpired as error:
        why = f"nothing for {GIT_TIMEOUT_S:.0f} s in {repo}"
        raise SyncError("git does not answer", why, "does `git status` end there?") from error


def _environment() -> dict[str, str]:
    """Keep the repository, not what a hook or a shell says: GIT_DIR and its like name another one."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name.startswith("GIT_CONFIG")
    }
    # Without optional locks a person's own git commands are never in the way of ours, nor ours of theirs.
    return {**kept, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}


def is_git_tree(repo: Path) -> bool:
    """Whether git knows the files of `repo`: it has a `.git` of its own, or a folder above tracks some of them.

    A project that merely lies below a repository (a home folder under git, say) is none of it. Raises SyncError.
    """
    if (repo / ".git").exists():
        return True
    return any((folder / ".git").exists() for folder in repo.parents) and bool(list_paths(repo, "--cached"))


def list_paths(repo: Path, *args: str) -> list[str]:
    """Return the paths that `git ls-files -z ARGS` prints, relative to `repo`. Raises SyncError."""
    return [os.fsdecode(path) for path in run_git(repo, "ls-files", "-z", *args).split(b"\0") if path]


def list_ignored(repo: Path, patterns: Iterable[str], *, standard: bool) -> list[str]:
    """Return what nobody tracks and git ignores or `patterns` name; folders as a whole, with a slash at the end.

    `standard` asks for the .gitignore files, info/exclude and the person's global excludes. Raises SyncError.
    """
    chosen = ["--exclude-standard"] if standard else []
    chosen += [f"--exclude={pattern}" for pattern in patterns]
    return list_paths(repo, "--others", "--ignored", "--directory", *chosen) if chosen else []


def list_nested(repo: Path) -> list[str]:
    """Return the folders of other repositories inside `repo` that are no submodules, with a slash at the end.

    Raises SyncError.
    """
    return [path for path in list_paths(repo, "--others", "--exclude-standard") if path.endswith("/")]


def list_submodules(repo: Path) -> list[Submodule]:
    """Return the submodules that `repo` itself records (not theirs). Raises SyncError."""
    found = []
    for entry in run_git(repo, "ls-files", "-z", "--stage").split(b"\0"):
        head, _, path = entry.partition(b"\t")
        if head.startswith(_GITLINK_MODE.encode()):
            found.append(Submodule(os.fsdecode(path), head.split(b" ")[1].decode("ascii")))
    return found
