"""The folder in which the controller keeps its results."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

from sltfleet.results.folder import make_state_folder


def test_git_sees_nothing_of_it(odd_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(odd_path)], check=True)
    folder = odd_path / ".sltfleet" / "runs" / "x"
    make_state_folder(odd_path / ".sltfleet", folder)
    (folder / "journal.jsonl").write_text("{}")
    status = subprocess.run(["git", "-C", str(odd_path), "status", "--short"], check=True, capture_output=True)
    assert status.stdout == b""
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_gitignore_that_is_there_is_left_alone(odd_path: Path) -> None:
    (odd_path / ".gitignore").write_text("mine")
    make_state_folder(odd_path, odd_path / "runs")
    assert (odd_path / ".gitignore").read_text() == "mine"
