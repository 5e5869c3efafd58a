"""The follow script runs in a real `sh` on a real run's folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sltfleet.core import following
from sltfleet.core.following import (
    CHUNK_BYTES,
    Followed,
    drop_torn_start,
    follow_script,
    parse_followed,
    read_events,
    whole_lines,
)
from sltfleet.core.paths import HostPaths
from sltfleet.wire.events import Event, Note, PassFinished, event_to_line
from tests.support.shell import run_script
from tests.support.states import RUN_ID

NAME = "journal.jsonl"


class Run:
    """A run's folder on a host with one file that is followed."""

    def __init__(self, root: Path, content: bytes = b"") -> None:
        self.paths = HostPaths(str(root), "sample")
        self.file = root / "sample" / "runs" / RUN_ID / NAME
        self.file.parent.mkdir(parents=True)
        self.file.write_bytes(content)
        (root / "sample" / "current").write_text(f"{RUN_ID}\n")

    def follow(self, offset: int, run_id: str | None = None) -> Followed | None:
        answer = run_script(follow_script(self.paths, run_id, NAME, offset))
        assert answer.exit_code == 0, answer
        return parse_followed(answer.stdout)


class TestTheScript:
    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            (b'{"kind":"run-started","format":1}', 1),
            (b'{"units":["\\"format\\":7,"],"format": 12, "more": 3}', 12),
            (b'{"kind":"note"}', None),
            (b"\xff\0 no journal", None),
        ],
    )
    def test_read_from_the_end_it_names_the_format_of_the_first_line(
        self, odd_path: Path, line: bytes, expected: int | None
    ) -> None:
        run = Run(odd_path, line + b'\n{"format":3}\n')
        piece, later = run.follow(-5), run.follow(0)
        assert piece is not None
        assert later is not None
        assert (piece.format, later.format) == (expected, None)

    @pytest.mark.parametrize(
        ("offset", "expected"),
        [
            (0, Followed(RUN_ID, 0, b"one\ntwo\n")),
            (4, Followed(RUN_ID, 4, b"two\n")),
            (8, Followed(RUN_ID, 8, b"")),
            (99, Followed(RUN_ID, 99, b"")),
            (-4, Followed(RUN_ID, 4, b"two\n")),
            (-99, Followed(RUN_ID, 0, b"one\ntwo\n")),
        ],
    )
    def test_an_offset_counts_from_the_start_or_from_the_end(
        self, odd_path: Path, offset: int, expected: Followed
    ) -> None:
        assert Run(odd_path, b"one\ntwo\n").follow(offset) == expected

    def test_bytes_that_are_no_text_arrive_as_they_are(self, odd_path: Path) -> None:
        content = bytes(range(1, 256)) * 3
        assert Run(odd_path, content).follow(0) == Followed(RUN_ID, 0, content)

    def test_one_piece_is_never_longer_than_a_chunk(self, odd_path: Path) -> None:
        piece = Run(odd_path, b"x" * (CHUNK_BYTES + 5)).follow(0)
        assert piece is not None
        assert len(piece.data) == CHUNK_BYTES
        assert piece.full

    def test_where_there_is_no_run_there_is_no_piece(self, odd_path: Path) -> None:
        run = Run(odd_path)
        assert run.follow(0, "20000101-000000-000000") is None
        (odd_path / "sample" / "current").unlink()
        assert run.follow(0) is None

    def test_a_file_that_is_not_written_yet_is_empty(self, odd_path: Path) -> None:
        run = Run(odd_path)
        run.file.unlink()
        assert run.follow(-100) == Followed(RUN_ID, 0, b"")

    @pytest.mark.parametrize("text", ["..", "../..", "$(touch pwned)"])
    def test_a_hostile_run_id_gives_no_piece(self, odd_path: Path, text: str) -> None:
        run = Run(odd_path, b"x\n")
        (odd_path / "sample" / NAME).write_text("secret\n")
        (odd_path / "sample" / "current").write_text(f"{text}\n")
        assert run.follow(0) is None
        assert not list(odd_path.rglob("pwned"))

    def test_a_file_that_grows_is_read_to_its_end_line_by_line(self, odd_path: Path) -> None:
        run = Run(odd_path)
        offset, lines = 0, []
        for piece in (b"one\ntw", b"o\nth", b"", b"ree\n"):
            with open(run.file, "ab") as file:
                file.write(piece)
            followed = run.follow(offset)
            assert followed is not None
            new, offset = whole_lines(followed)
            lines += new
        assert lines == [b"one", b"two", b"three"]


class TestTheParser:
    @given(st.text())
    def test_no_text_makes_it_raise(self, output: str) -> None:
        parse_followed(output)

    @pytest.mark.parametrize("offset", ["", "-1", "²", "9" * 5000, "1\t2"])
    def test_an_offset_that_is_no_number_makes_no_piece(self, offset: str) -> None:
        assert parse_followed(f"{RUN_ID} {offset}\nbody") is None

    @given(st.integers(0, 10**15), st.binary())
    def test_it_reads_what_a_host_writes(self, offset: int, data: bytes) -> None:
        output = f"{RUN_ID} {offset}\n" + data.decode("utf-8", "surrogateescape")
        assert parse_followed(output) == Followed(RUN_ID, offset, data)


class TestLines:
    @given(st.binary(), st.integers(1, 50), st.data())
    def test_following_in_chunks_gives_every_whole_line_of_the_file_once(
        self, content: bytes, chunk: int, data: st.DataObject
    ) -> None:
        """Chunks are as long as the host makes them: at least one longer than the longest line."""
        chunk += max(map(len, content.split(b"\n")))
        offset, lines = 0, list[bytes]()
        for _ in range(len(content) + 1):
            size = data.draw(st.sampled_from([chunk, chunk + 1]))
            new, after = whole_lines(Followed(RUN_ID, offset, content[offset : offset + size]))
            lines += new
            if after == offset:
                break
            offset = after
        assert lines == content[: content.rfind(b"\n") + 1].splitlines()
        assert offset == content.rfind(b"\n") + 1

    def test_a_line_longer_than_a_chunk_does_not_stop_the_reader(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(following, "CHUNK_BYTES", 4)
        assert whole_lines(Followed(RUN_ID, 10, b"long")) == ([b"long"], 14)
        assert whole_lines(Followed(RUN_ID, 14, b"er\nn")) == ([b"er"], 17)
        assert whole_lines(Followed(RUN_ID, 17, b"new")) == ([], 17)

    @given(st.binary(), st.integers(0, 100))
    def test_a_torn_start_is_dropped_and_nothing_else(self, data: bytes, offset: int) -> None:
        piece = drop_torn_start(Followed(RUN_ID, offset, data))
        assert piece.offset + len(piece.data) == offset + len(data)
        assert data.endswith(piece.data)
        if offset and b"\n" in data:
            assert data[: len(data) - len(piece.data)].count(b"\n") == 1
        else:
            assert piece.data == data

    @given(st.lists(st.binary()))
    def test_no_journal_line_makes_it_raise(self, lines: list[bytes]) -> None:
        read_events(lines)

    def test_lines_that_are_no_events_are_left_out(self) -> None:
        events: list[Event] = [Note(1.0, "hello"), PassFinished(2.0, 1, 40)]
        good = [event_to_line(event) for event in events]
        lines = [b"", good[0], b"{", b'{"kind": "from-the-future", "t": 1}', b"[" * 100_000, good[1], good[0][:-5]]
        assert read_events(lines) == events
