from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from sltfleet.core.errors import RunError
from sltfleet.results import journal as journal_module
from sltfleet.results.journal import read_piece
from tests.support.journals import JournalBuilder, read_all


def finished() -> JournalBuilder:
    return JournalBuilder().attempt(0, "a.test", 0, 10).attempt(1, "b.test", 0, 20).finish(100)


def written(folder: Path, data: bytes) -> Path:
    path = folder / "journal.jsonl"
    path.write_bytes(data)
    return path


def changed(line: bytes, **values: Any) -> bytes:
    """The line with some keys set."""
    return json.dumps({**json.loads(line), **values}).encode() + b"\n"


def test_a_whole_journal_gives_all_its_events(odd_path: Path) -> None:
    builder = finished()
    events, damage = read_all(written(odd_path, builder.data))
    assert events == builder.events
    assert damage is None


@pytest.mark.parametrize("torn", [1, 2, 30, 100])
def test_a_torn_last_line_is_dropped_and_no_damage(torn: int, tmp_path: Path) -> None:
    builder = finished()
    events, damage = read_all(written(tmp_path, builder.data[:-torn]))
    assert damage is None
    assert events == builder.events[: len(events)]
    assert len(events) < len(builder.events)


def test_a_corrupt_line_ends_the_reading_at_its_first_byte_and_keeps_what_stands_before(tmp_path: Path) -> None:
    builder = finished()
    lines = builder.data.splitlines(keepends=True)
    events, damage = read_all(written(tmp_path, b"".join(lines[:3]) + b"\0\0garbage\n" + b"".join(lines[3:])))
    assert events == builder.events[:3]
    assert damage is not None
    assert damage.offset == sum(map(len, lines[:3]))
    assert f"byte {damage.offset}" in str(damage)


def test_reading_goes_on_from_an_offset_in_pieces_of_a_bounded_size(tmp_path: Path) -> None:
    builder = finished()
    path = written(tmp_path, builder.data)
    first = read_piece(path, 0, max_events=4)
    assert first.more
    rest = read_piece(path, first.next_offset)
    assert [*first.events, *rest.events] == builder.events
    assert (rest.more, rest.next_offset) == (False, len(builder.data))


def test_a_journal_that_grows_is_read_on_from_where_the_torn_line_began(tmp_path: Path) -> None:
    builder = finished()
    path = written(tmp_path, builder.data[:-5])
    first = read_piece(path, 0)
    path.write_bytes(builder.data)
    assert [*first.events, *read_piece(path, first.next_offset).events] == builder.events


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"workers": 10**9}, "workers"),
        ({"workers": 0}, "workers"),
        ({"budget_s": -1.0}, "budget"),
        ({"seed": 2**70}, "too large"),
        ({"share_units": -1}, "share_units"),
        ({"share_units": 3}, "no part of 2 units"),
        ({"t": -1.0}, "clock"),
        ({"format": 99}, "newer sltfleet"),
        ({"units": "a.test"}, "expected a list"),
        ({"kind": "note", "text": "x"}, "run-started"),
    ],
)
def test_a_first_line_that_no_runner_writes_is_damage(values: dict[str, Any], problem: str, tmp_path: Path) -> None:
    lines = finished().data.splitlines(keepends=True)
    events, damage = read_all(written(tmp_path, changed(lines[0], **values) + b"".join(lines[1:])))
    assert events == []
    assert damage is not None
    assert problem in damage.problem


@pytest.mark.parametrize(
    "values",
    [
        {"outcome": "great"},
        {"duration_s": -3.0},
        {"duration_s": 1e300},
        {"t": 1e300},
        {"attempt": 2**64},
        {"rusage": {"max_rss_bytes": 2**64}},
        {"survivors": 2**62},
        {"survivors": -1},
        {"kind": "counted", "attempts": [2**63]},
        {"kind": "run-started"},
        {"kind": "surprise"},
        {"passed": [1, 2]},
    ],
)
def test_an_attempt_that_no_runner_writes_is_damage(values: dict[str, Any], tmp_path: Path) -> None:
    lines = finished().data.splitlines(keepends=True)
    index = next(i for i, line in enumerate(lines) if b"attempt-finished" in line)
    lines[index] = changed(lines[index], **values)
    events, damage = read_all(written(tmp_path, b"".join(lines)))
    assert len(events) == index
    assert damage is not None


def test_a_line_without_end_is_damage_and_not_read_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "MAX_LINE_BYTES", 5000)
    builder = finished()
    events, damage = read_all(written(tmp_path, builder.data + b"x" * 6000))
    assert events == builder.events
    assert damage is not None
    assert "longer than 5000 bytes" in damage.problem


def test_an_empty_journal_is_empty(tmp_path: Path) -> None:
    assert read_all(written(tmp_path, b""))[0] == []


def test_what_is_no_regular_file_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    target = written(tmp_path, finished().data)
    link, fifo = tmp_path / "link", tmp_path / "fifo"
    link.symlink_to(target)
    os.mkfifo(fifo)
    for path in (link, fifo, tmp_path, tmp_path / "missing"):
        with pytest.raises(RunError, match="cannot read a journal"):
            read_all(path)
