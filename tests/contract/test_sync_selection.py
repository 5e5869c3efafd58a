"""What a sync sends, keeps and deletes, held against git's own word: real git, real rsync."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from sltfleet.core.errors import SyncError
from sltfleet.core.gitignore import parse_patterns
from sltfleet.core.rsync import RsyncReader, sync_argv
from sltfleet.core.sync_rules import filter_rules
from sltfleet.transport.worktree import select_files

NAMES = ["a", "b", "foo", "foo.o", "x y", "ü", "[z]", "a*", "back\\slash", "#h", "!n", "target", "deep.rs"]
PATTERNS = [
    "*.o", "foo", "/foo", "foo/", "!foo", "a/b", "/a/b/", "**/foo", "a/**/b", "a/**", "!a/b", "*", "!*/",
    "!*.rs", "/*", "!/a", "x\\ y", "x y", "\\#h", "\\!n", "[[]z]", "\\[z\\]", "a\\*", "back\\\\slash", "ü",
    "?", "[a-b]", "[!a]", "f**o", "# comment", "", "foo   ", "a/*", "target/", "**", "**/a/**", "broken[",
    "trailing\\", "b/**/", "/**/foo.o",
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


def rsync(
    repo: Path, target: Path, tmp_path: Path, include: tuple[str, ...] = (), exclude: tuple[str, ...] = ()
) -> None:
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
    # A file there, a folder here: the folder comes.
    strangers = {path for path in paths_below(target) - paths_below(repo) if not (repo / path).is_dir()}
    rsync(repo, target, tmp_path)

    after = paths_below(target)
    sent = {path for path in after if (target / path).read_bytes().startswith(os.fsencode(repo))}
    assert sent | {path for path in listed if path.endswith(".gitignore")} == listed
    asked = "\0".join(sorted(strangers)).encode()
    ignored = {
        path.decode() for path in git(repo, "check-ignore", "-z", "--stdin", "--no-index", data=asked).split(b"\0")
    }
    assert after & strangers == strangers & ignored


def test_included_paths_come_although_git_ignores_them_and_excluded_ones_stay_although_git_tracks_them(
    odd_path: Path, tmp_path: Path
) -> None:
    repo, target = odd_path / "repo", odd_path / "target"
    for path in (
        "gen/data/a.test",
        "gen/data/a.tmp",
        "gen/other/b.test",
        "docs/c",
        "src/d",
        "target/corpus/e",
        "target/f",
    ):
        (repo / path).parent.mkdir(parents=True, exist_ok=True)
        (repo / path).write_text(path)
    (repo / ".gitignore").write_text("/gen/\n")
    git(repo, "init", "-q")
    git(repo, "add", "docs", "src", ".gitignore")
    target.mkdir()
    for path in ("gen/data/gone.test", "gen/data/gone.tmp", "target/built"):
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        (target / path).write_text("made there")

    rsync(repo, target, tmp_path, include=("gen/**/*.test", "target/corpus/"), exclude=("docs/", "target/"))

    assert paths_below(target) == {
        *(".gitignore", "src/d", "gen/data/a.test", "gen/other/b.test", "target/corpus/e"),
        # What is included is deleted there when it is gone here; what git ignores or fleet.yaml excludes is let be.
        *("gen/data/gone.tmp", "target/built"),
    }


def test_without_a_repository_nested_gitignore_files_are_obeyed_as_git_would(odd_path: Path, tmp_path: Path) -> None:
    repo, target = odd_path / "repo", odd_path / "target"
    for path in ("a.o", "keep.o", "sub/b.o", "sub/c.o", "sub/deep/d.log", "build/x", "sub/build/y", "ignored/keep.o"):
        (repo / path).parent.mkdir(parents=True, exist_ok=True)
        (repo / path).write_text(path)
    (repo / ".gitignore").write_text("*.o\n!keep.o\n/build\nignored/\n")
    (repo / "sub" / ".gitignore").write_text("!b.o\n*.log\n")
    rsync(repo, target, tmp_path)
    assert paths_below(target) == {".gitignore", "keep.o", "sub/.gitignore", "sub/b.o", "sub/build/y"}


def test_submodules_come_with_their_contents_and_obey_their_own_gitignore(odd_path: Path, tmp_path: Path) -> None:
    inner, repo, target = odd_path / "inner", odd_path / "repo", odd_path / "target"
    for folder in (inner, repo):
        folder.mkdir()
        git(folder, "init", "-q")
    (inner / "lib.rs").write_text("")
    (inner / ".gitignore").write_text("*.tmp\n")
    git(inner, "add", ".")
    git(inner, "commit", "-q", "-m", "inner")
    git(repo, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "vendor/in ner")
    (repo / "vendor" / "in ner" / "x.tmp").write_text("")
    (repo / "x.tmp").write_text("")
    rsync(repo, target, tmp_path)
    assert paths_below(target) == {".gitmodules", "x.tmp", "vendor/in ner/lib.rs", "vendor/in ner/.gitignore"}


def test_a_submodule_that_was_never_initialised_is_an_error_unless_it_is_excluded(
    odd_path: Path, tmp_path: Path
) -> None:
    inner, repo, clone = odd_path / "inner", odd_path / "repo", odd_path / "clone"
    for folder in (inner, repo):
        folder.mkdir()
        git(folder, "init", "-q")
        git(folder, "commit", "-q", "--allow-empty", "-m", "first")
    git(repo, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "third party/corpus")
    git(repo, "commit", "-q", "-m", "submodule")
    git(odd_path, "clone", "-q", str(repo), str(clone))
    with pytest.raises(SyncError) as caught:
        select_files(clone, gitignore=True, include=(), exclude=())
    assert "third party/corpus" in caught.value.what
    assert "git submodule update --init --recursive" in caught.value.fix
    select_files(clone, gitignore=True, include=(), exclude=("third party/",))


def test_a_linked_worktree_is_synced_like_any_other_tree(odd_path: Path, tmp_path: Path) -> None:
    repo, worktree, target = odd_path / "repo", odd_path / "work tree", odd_path / "target"
    repo.mkdir()
    git(repo, "init", "-q")
    (repo / ".gitignore").write_text("*.o\n")
    git(repo, "add", ".")
    git(repo, "commit", "-q", "-m", "first")
    git(repo, "worktree", "add", "-q", "-b", "other", str(worktree))
    (worktree / "a.o").write_text("")
    (worktree / "a.rs").write_text("")
    rsync(worktree, target, tmp_path)
    assert paths_below(target) == {".gitignore", "a.rs"}
    assert not (target / ".git").exists()


def test_info_exclude_and_the_global_excludes_are_obeyed(
    odd_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo, target = odd_path / "repo", odd_path / "target"
    for path in ("a.swp", "a.local", "a.rs"):
        (repo / path).parent.mkdir(parents=True, exist_ok=True)
        (repo / path).write_text(path)
    git(repo, "init", "-q")
    (repo / ".git" / "info" / "exclude").write_text("*.local\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(odd_path / "config"))
    (odd_path / "config" / "git").mkdir(parents=True)
    (odd_path / "config" / "git" / "ignore").write_text("*.swp\n")
    target.mkdir()
    (target / "there.swp").write_text("")
    (target / "there.local").write_text("")
    (target / "there.rs").write_text("")
    rsync(repo, target, tmp_path)
    assert paths_below(target) == {"a.rs", "there.swp", "there.local"}


def test_a_repo_below_another_one_that_does_not_track_it_is_no_part_of_that(odd_path: Path, tmp_path: Path) -> None:
    home, target = odd_path / "home", odd_path / "target"
    repo = home / "project"
    repo.mkdir(parents=True)
    git(home, "init", "-q")
    (home / ".gitignore").write_text("*\n")
    (repo / "a.rs").write_text("")
    rsync(repo, target, tmp_path)
    assert paths_below(target) == {"a.rs"}
