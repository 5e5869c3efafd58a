"""Which files of the controller's working tree are synced: asks git, or reads .gitignore files without one.

The rules for rsync are made of it in `core.rsync`. docs/decisions/003-what-is-synced.md says why git is asked for an
exact list.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pathspec

from sltfleet.core.errors import SyncError
from sltfleet.core.gitignore import Pattern, parse_patterns
from sltfleet.core.sync_rules import Selection
from sltfleet.transport.git import is_git_tree, list_ignored, list_nested, list_paths, list_submodules, run_git

IgnoreFile = tuple[str, tuple[Pattern, ...]]


def select_files(repo: Path, *, gitignore: bool, include: tuple[str, ...], exclude: tuple[str, ...]) -> Selection:
    """Return what of `repo` is synced. Raises SyncError: no such folder, git fails, a submodule has no content."""
    if not repo.is_dir():
        raise SyncError(f"there is no folder {repo}", fix="set `repo` in fleet.yaml: it is relative to that file")
    hidden: list[str] = []
    ignore_files: list[IgnoreFile] = []
    if is_git_tree(repo):
        _ask_git(repo, "", gitignore, exclude, hidden, ignore_files)
    else:
        _read_ignore_files(repo, gitignore, exclude, hidden, ignore_files)
    kept, forced = _force(repo, hidden, include)
    return Selection(hidden=tuple(kept), forced=tuple(forced), ignore_files=tuple(ignore_files))


#: For what the person who types may not read.
_LOOK_AT_IT = "see `ls -ld` of it and of its folders; `sync.exclude` in fleet.yaml leaves it out"


def _ask_git(
    repo: Path,
    prefix: str,
    gitignore: bool,
    exclude: tuple[str, ...],
    hidden: list[str],
    ignore_files: list[IgnoreFile],
) -> None:
    """Add what is hidden in `repo`, which is `prefix` of the whole, and in the repositories inside it."""
    here = repo / prefix if prefix else repo
    # fleet.yaml's patterns are relative to the whole; inside a submodule git would take them as relative to that.
    ignored = list_ignored(here, () if prefix else exclude, standard=gitignore)
    hidden += [prefix + path for path in ignored]
    if gitignore:
        ignore_files += [(prefix.rstrip("/"), patterns) for patterns in _personal_excludes(here)]
        ignore_files += _ignore_files(here, prefix, ignored)
    left_out = pathspec.GitIgnoreSpec.from_lines(exclude)
    for submodule in list_submodules(here):
        path = prefix + submodule.path
        if left_out.match_file(path + "/"):
            continue
        if not (here / submodule.path / ".git").exists():
            _check_content(here / submodule.path, path)
            continue
        _ask_git(repo, path + "/", gitignore, exclude, hidden, ignore_files)
    for nested in list_nested(here) if gitignore else []:
        if not left_out.match_file(prefix + nested):
            _ask_git(repo, prefix + nested, gitignore, exclude, hidden, ignore_files)


def _check_content(folder: Path, path: str) -> None:
    """Raise SyncError for a submodule that has no content here."""
    if not folder.is_dir() or not any(folder.iterdir()):
        raise SyncError(
            f"the submodule {path} has no content here",
            "it was never initialised",
            "git submodule update --init --recursive (or leave it out: add it to sync.exclude)",
        )


def _personal_excludes(repo: Path) -> Iterator[tuple[Pattern, ...]]:
    """Give the patterns of the person's global excludes and of info/exclude, the weaker ones first (gitignore(5))."""
    # One word for "not set": `git config` would end with an error.
    answer = run_git(repo, "config", "--type=path", "--default=", "--get", "core.excludesFile")
    configured = os.fsdecode(answer.removesuffix(b"\n"))
    default = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config", "git", "ignore")
    info = os.fsdecode(run_git(repo, "rev-parse", "--git-path", "info/exclude").removesuffix(b"\n"))
    for path in (Path(configured) if configured else default, repo / info):
        if path.is_file():
            yield _read_patterns(path)


def _ignore_files(repo: Path, prefix: str, ignored: list[str]) -> list[IgnoreFile]:
    """Return the .gitignore files that git obeys in `repo`, outer ones first: an inner one has the last word."""
    paths = list_paths(repo, "--cached", "--others", "--exclude-standard", "--", ":(glob)**/.gitignore")
    # A file that has the pattern `*` ignores itself, and often all of its folder.
    paths += [path + ".gitignore" if path.endswith("/") else path for path in ignored]
    paths = [path for path in paths if path.rpartition("/")[2] == ".gitignore"]
    found = []
    for path in sorted(set(paths), key=lambda path: path.count("/")):
        if (repo / path).is_file():
            found.append(((prefix + path.rpartition("/")[0]).rstrip("/"), _read_patterns(repo / path)))
    return found


def _read_patterns(path: Path) -> tuple[Pattern, ...]:
    try:
        return tuple(parse_patterns(os.fsdecode(path.read_bytes())))
    except OSError as error:
        raise SyncError(f"cannot read {path}", str(error.strerror), _LOOK_AT_IT) from error


def _read_ignore_files(
    repo: Path, gitignore: bool, exclude: tuple[str, ...], hidden: list[str], ignore_files: list[IgnoreFile]
) -> None:
    """Walk a folder that is no repository as git would: an ignored folder is not looked into."""
    specs: dict[str, pathspec.GitIgnoreSpec] = {}
    left_out = pathspec.GitIgnoreSpec.from_lines(exclude)

    def is_hidden(path: str) -> bool:
        if left_out.match_file(path):
            return True
        folder = path.rstrip("/").rpartition("/")[0]
        while True:
            spec = specs.get(folder)
            if spec is not None:
                verdict = spec.check_file(path[len(folder) + 1 :] if folder else path).include
                if verdict is not None:
                    return verdict
            if not folder:
                return False
            folder = folder.rpartition("/")[0]

    def enter(folder: str) -> None:
        path = repo / folder / ".gitignore"
        if gitignore and path.is_file() and not path.is_symlink():
            ignore_files.append((folder, _read_patterns(path)))
            specs[folder] = pathspec.GitIgnoreSpec.from_lines(os.fsdecode(path.read_bytes()).split("\n"))

    hidden += [path for path, ignored in _walk(repo, "", is_hidden, enter) if ignored]


def _walk(
    repo: Path, folder: str, is_chosen: Callable[[str], bool], enter: Callable[[str], None] = lambda _folder: None
) -> Iterator[tuple[str, bool]]:
    """Give every path below `folder` (folders end with a slash) and whether it is chosen, and so not entered."""
    enter(folder)
    try:
        entries = sorted(os.scandir(repo / folder), key=lambda entry: entry.name)
    except OSError as error:
        raise SyncError(f"cannot read {repo / folder}", str(error.strerror), _LOOK_AT_IT) from error
    for entry in entries:
        path = f"{folder}/{entry.name}" if folder else entry.name
        is_folder = entry.is_dir(follow_symlinks=False)
        chosen = is_chosen(path + "/" if is_folder else path)
        yield (path + "/" if is_folder else path), chosen
        if is_folder and not chosen:
            yield from _walk(repo, path, is_chosen, enter)


def _force(repo: Path, hidden: list[str], include: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Return `hidden` less what `include` names, and what it names that lies there or below."""
    spec = pathspec.GitIgnoreSpec.from_lines(include)
    if not include:
        return hidden, []
    kept, forced = [], []
    for path in hidden:
        if spec.match_file(path):
            forced.append(path)
            continue
        kept.append(path)
        if path.endswith("/"):
            forced += [found for found, chosen in _walk(repo, path[:-1], spec.match_file) if chosen]
    return kept, forced
