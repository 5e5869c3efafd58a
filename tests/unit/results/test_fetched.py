from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from sltfleet.results.fetched import MAX_NAMES, check_fetched, is_plain_name


def test_plain_files_stay_and_are_counted(odd_path: Path) -> None:
    (odd_path / "artifacts" / "last").mkdir(parents=True)
    (odd_path / "journal.jsonl").write_text("12345")
    (odd_path / "artifacts" / "last" / "ü 'x'.out").write_text("123")
    found = check_fetched(odd_path)
    assert (found.files, found.size_bytes, found.removed) == (2, 8, 0)


def test_whatever_is_no_plain_file_is_taken_away_and_nothing_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "fetched"
    (outside / "inner").mkdir(parents=True)
    (outside / "inner" / "precious").write_text("x")
    folder.mkdir()
    (folder / "to a folder").symlink_to(outside)
    (folder / "to a file").symlink_to(outside / "inner" / "precious")
    (folder / "dangling").symlink_to("/nowhere/at/all")
    os.mkfifo(folder / "fifo")
    monkeypatch.chdir(folder)  # a socket's name may not be long
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
    (folder / "bad\nname").mkdir()
    (folder / "bad\nname" / "link").symlink_to(outside)
    found = check_fetched(folder)
    assert list(folder.iterdir()) == []
    assert found.removed == 6
    assert "bad\nname" in found.removed_names
    assert (outside / "inner" / "precious").read_text() == "x"


def test_of_many_only_the_first_names_are_told(tmp_path: Path) -> None:
    for number in range(MAX_NAMES + 5):
        (tmp_path / f"-{number:02d}").write_text("")
    found = check_fetched(tmp_path)
    assert (found.removed, len(found.removed_names)) == (MAX_NAMES + 5, MAX_NAMES)


@pytest.mark.parametrize("name", ["a\nb", "\x1b[2J", "-rf", os.fsdecode(b"\xff"), "\u202e", "\x7f", "a\tb"])
def test_a_name_that_could_fool_a_person_or_a_program_is_not_plain(name: str) -> None:
    assert not is_plain_name(name)
