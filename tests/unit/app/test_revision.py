"""A repo's revision, read from real repositories."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from sltfleet.app.revision import read_origin, read_revision
from sltfleet.core.errors import SyncError
from sltfleet.core.revision import Revision


def git(repo: Path, *args: str) -> str:
    identity = ("-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "protocol.file.allow=always")
    return subprocess.run(["git", "-C", repo, *identity, *args], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def repo(odd_path: Path) -> Path:
    path = odd_path / "repo"
    path.mkdir()
    git(path, "init", "-q")
    (path / "a.rs").write_text("a")
    (path / ".gitignore").write_text("*.o\n")
    git(path, "add", ".")
    git(path, "commit", "-q", "-m", "first")
    return path


def test_a_clean_tree_has_its_commit_and_no_digest(repo: Path) -> None:
    (repo / "ignored.o").write_text("")
    os.utime(repo / "a.rs", (1, 1))  # a new time is no change
    assert read_revision(repo) == Revision(git(repo, "rev-parse", "HEAD").strip(), "")


def test_a_checkout_is_the_same_one_through_a_link_and_another_one_as_a_copy(repo: Path, tmp_path: Path) -> None:
    link, copy = tmp_path / "link", tmp_path / "copy"
    link.symlink_to(repo)
    git(tmp_path, "clone", "-q", str(repo), str(copy))
    assert read_origin(link) == read_origin(repo)
    assert read_origin(copy).digest != read_origin(repo).digest


def test_every_kind_of_change_gives_another_digest_and_undoing_it_gives_the_old_one(repo: Path) -> None:
    seen = [read_revision(repo)]
    (repo / "a.rs").write_text("b")
    seen.append(read_revision(repo))
    git(repo, "add", "a.rs")
    assert read_revision(repo) == seen[-1]  # staged or not: the contents are the same
    (repo / "a.rs").chmod(0o755)
    seen.append(read_revision(repo))
    (repo / "new ü\n.rs").write_text("")
    seen.append(read_revision(repo))
    (repo / "a.rs").unlink()
    seen.append(read_revision(repo))
    (repo / "a.rs").symlink_to("nowhere")
    seen.append(read_revision(repo))
    assert len({revision.dirty_digest for revision in seen}) == len(seen)
    assert len({revision.commit for revision in seen}) == 1
    git(repo, "reset", "-q", "--hard")
    (repo / "new ü\n.rs").unlink()
    assert read_revision(repo) == seen[0]


def test_settings_of_gits_diff_change_nothing(repo: Path) -> None:
    (repo / "a.rs").write_text("b")
    before = read_revision(repo)
    for key, value in (("diff.external", "false"), ("diff.noprefix", "true"), ("color.ui", "always")):
        git(repo, "config", key, value)
    assert read_revision(repo) == before


def test_a_change_in_a_submodule_counts(repo: Path, odd_path: Path) -> None:
    inner = odd_path / "inner"
    inner.mkdir()
    git(inner, "init", "-q")
    git(inner, "commit", "-q", "--allow-empty", "-m", "first")
    git(repo, "submodule", "--quiet", "add", str(inner), "sub")
    git(repo, "commit", "-q", "-m", "submodule")
    clean = read_revision(repo)
    assert clean.dirty_digest == ""
    (repo / "sub" / "new").write_text("1")
    first = read_revision(repo)
    (repo / "sub" / "new").write_text("2")
    assert len({clean.dirty_digest, first.dirty_digest, read_revision(repo).dirty_digest}) == 3


def test_part_of_a_repository_knows_only_its_own_changes(repo: Path) -> None:
    part = repo / "part"
    part.mkdir()
    (part / "b.rs").write_text("")
    git(repo, "add", ".")
    git(repo, "commit", "-q", "-m", "part")
    (repo / "a.rs").write_text("changed")
    assert read_revision(part).dirty_digest == ""
    (part / "b.rs").write_text("changed")
    assert read_revision(part).dirty_digest != ""


def test_without_a_commit_or_a_repository_there_is_none_to_name(repo: Path, odd_path: Path) -> None:
    plain = odd_path / "plain"
    plain.mkdir()
    assert read_revision(plain) == Revision("", "")
    git(plain, "init", "-q")
    assert read_revision(plain) == Revision("", "")
    (plain / "a").write_text("")
    assert read_revision(plain).commit == ""
    assert read_revision(plain).dirty_digest != ""


def test_a_hooks_git_dir_does_not_lead_elsewhere(repo: Path, odd_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = read_revision(repo)
    monkeypatch.setenv("GIT_DIR", str(odd_path / "elsewhere"))
    assert read_revision(repo) == expected


def test_a_damaged_repository_is_an_error_with_gits_own_words(odd_path: Path) -> None:
    (odd_path / ".git").write_text("gitdir: nowhere\n")
    with pytest.raises(SyncError) as caught:
        read_revision(odd_path)
    assert "not a git repository" in caught.value.why
