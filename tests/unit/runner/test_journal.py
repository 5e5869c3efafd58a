"""The journal on a disk that fills up."""

from __future__ import annotations

import errno
import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from sltfleet.runner.files import overwrite_json, write_file
from sltfleet.runner.journal import Journal
from sltfleet.wire.events import Note, Sample, event_from_line


class Disk:
    """Takes as many bytes per write as it is told to; 0 means that it is full."""

    def __init__(self, *room: int) -> None:
        self.room = list(room)
        self.data = b""

    def write(self, data: bytes) -> int:
        count = self.room.pop(0) if self.room else len(data)
        if count == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.data += data[:count]
        return min(count, len(data))


def note(number: int) -> Note:
    return Note(t=float(number), text=f"note {number}")


def texts(data: bytes) -> list[str]:
    events = [event_from_line(line) for line in data.splitlines()]
    return [event.text for event in events if isinstance(event, Note)]


@given(st.lists(st.integers(0, 70), max_size=30), st.integers(1, 10))
def test_whatever_the_disk_takes_no_line_is_lost_torn_or_out_of_order(room: list[int], count: int) -> None:
    disk = Disk(*room)
    journal = Journal(disk.write)
    for number in range(count):
        journal.add(note(number))
        journal.flush()
        assert disk.data.count(b"\n") <= number + 1
    for _ in range(len(room) + 1):
        journal.flush()
    assert journal.empty
    assert journal.trouble == ""
    assert texts(disk.data) == [f"note {number}" for number in range(count)]


def test_a_full_disk_is_trouble_until_it_takes_again() -> None:
    disk = Disk(5, 0, 0)
    journal = Journal(disk.write)
    journal.add(note(1))
    assert not journal.flush()
    assert journal.trouble == "the journal cannot be written: No space left on device"
    assert not journal.flush()
    assert journal.flush()
    assert journal.trouble == ""
    assert texts(disk.data) == ["note 1"]


def test_beyond_the_bound_samples_go_first_then_the_newest_and_a_note_says_so() -> None:
    disk = Disk(*[0] * 50)
    journal = Journal(disk.write, max_waiting_bytes=400)
    for number in range(20):
        journal.add(note(number))
        journal.add(Sample(0.0, 1.0, 1, 1, 1, 1.0))
        journal.flush()
    disk.room = []
    assert journal.flush()
    journal.add(note(99))
    journal.flush()
    kept = texts(disk.data)
    assert b"sample" not in disk.data
    assert kept[:5] == [f"note {number}" for number in range(5)]
    assert "journal lines were lost" in kept[-2]
    assert kept[-1] == "note 99"


def test_a_journal_is_only_ever_appended_to(odd_path: Path) -> None:
    for number in range(2):
        journal = Journal.at(str(odd_path / "journal"))
        journal.add(note(number))
        assert journal.flush()
    assert texts((odd_path / "journal").read_bytes()) == ["note 0", "note 1"]
    assert (odd_path / "journal").stat().st_mode & 0o777 == 0o600


def test_a_file_is_replaced_as_a_whole_or_not_at_all(odd_path: Path) -> None:
    path = odd_path / "state"
    write_file(str(path), b"one")
    write_file(str(path), b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in odd_path.iterdir()] == ["state"]


def test_on_a_full_disk_json_is_written_over_the_old_text_within_its_blocks(odd_path: Path) -> None:
    path = odd_path / "state"
    path.write_text('{"long": "' + "x" * 3000 + '"}')
    assert overwrite_json(str(path), b'{"a": 1}\n')
    assert json.loads(path.read_text()) == {"a": 1}
    assert not overwrite_json(str(path), b'"' + b"y" * 10_000_000 + b'"')
    assert json.loads(path.read_text()) == {"a": 1}
