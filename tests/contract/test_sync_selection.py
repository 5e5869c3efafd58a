"""What a sync sends, keeps and deletes, held against git's own word: real git, real rsync."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from sltfleet.core.rsync import RsyncReader, filter_rules, sync_argv
from sltfleet.transport.worktree import select_files

NAMES = ["a", "b", "foo", "foo.o", "x y", "ü", "[z]", "a*", "back\\slash", "#h", "!n", "target", "deep.rs"]
PATTERNS = [
    "*.o", "foo", "/foo", "foo/", "!foo", "a/b", "/a/b/", "**/foo", "a/**/b", "a/**", "!a/b", "*", "!*/", "!*.rs", "/*",
    "!/a", "x\\ y", "x y", "\\#h", "\\!n", "[[]z]", "\\[z\\]", "a\\*", "back\\\\slash", "ü", "?", "[a-b]", "[!a]", "f**o",
    "# comment", "", "foo   ", "a/*", "target/", "**", "**/a/**", "broken[", "trailing\\", "b/**/", "/**/foo.o",
]  # fmt: skip


def make_tree(root: Path, chance: random.Random, depth: int, files: int) -> None:
    root.mkdir(exist_ok=True)
    for name in chance.sample(NAMES, files):
        path = root / name
        if depth and chance.random() < 0.5:
            make_tree(path, chance, depth - 1, files)
        elif not path.exists():
            path.write_text(str(path))


def git(repo: Path, *args: str, data: bytes | None = None) -> bytes:
    identity = ("-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "core.quotePath=false")
    done = subprocess.run(["git", "-C", repo, *identity, *args], input=data, capture_output=True, check=False)
    assert done.returncode in (0, 1), done.stderr.decode()
    return done.stdout


def paths_below(root: Path) -> set[str]:
    """All files, relative; `.git` is no part of what is compared."""
    found = {path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir()}
    return {path for path in found if ".git" not in path.split("/")}


def rsync(repo: Path, target: Path, tmp_path: Path, include: tuple[str, ...] = (), exclude: tuple[str, ...] = ()) -> None:
    from sltfleet.core.gitignore import parse_patterns

    selection = select_files(repo, gitignore=True, include=include, exclude=exclude)
    rules = filter_rules(selection, parse_patterns("\n".join(include)), parse_patterns("\n".join(exclude)))
    rules_file = tmp_path / "rules"
    rules_file.write_bytes(rules.encode("utf-8", "surrogateescape"))
    argv = sync_argv(str(repo), str(target), rules_file=str(rules_file), max_delete=None, rsh=None)
    done = subprocess.run(argv, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    reader = RsyncReader()
    reader.feed(done.stdout.decode())
    assert reader.stats is not None


@pytest.mark.parametrize("seed", range(25))
def test_what_is_sent_is_what_git_lists_and_what_is_kept_there_is_what_git_would_ignore(
    seed: int, odd_path: Path, tmp_path: Path
) -> None:
    chance = random.Random(seed)
    repo, target = odd_path / "repo", odd_path / "target"
    make_tree(repo, chance, 3, 6)
    git(repo, "init", "-q")
    for folder in [repo, *(path for path in repo.rglob("*") if path.is_dir() and ".git" not in path.parts)]:
        if folder == repo or chance.random() < 0.2:
            (folder / ".gitignore").write_text("\n".join(chance.choices(PATTERNS, k=4)) + "\n")
    some = chance.sample(sorted(paths_below(repo)), 5)
    git(repo, "add", "-f", "--", *(f":(literal){path}" for path in some))
    listed = {path.decode() for path in git(repo, "ls-files", "-z", "-co", "--exclude-standard").split(b"\0") if path}

    make_tree(target, chance, 3, 6)
    for path in listed:
        if (target / path).is_dir():  # what is protected in it would be in the way of the file
            shutil.rmtree(target / path)
    strangers = paths_below(target) - paths_below(repo)
    rsync(repo, target, tmp_path)

    after = paths_below(target)
    assert listed <= after
    asked = "\0".join(sorted(strangers)).encode()
    ignored = {path.decode() for path in git(repo, "check-ignore", "-z", "--stdin", "--no-index", data=asked).split(b"\0")}
    assert after & strangers == strangers & ignored
