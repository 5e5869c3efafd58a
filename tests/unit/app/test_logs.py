"""The reader follows real files through a real `sh`; hosts that fail are scripted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sltfleet.app.fleet import Fleet, Host
from sltfleet.app.logs import TAIL_BYTES, LogLine, LogReader, read_logs
from sltfleet.core.errors import ConnectError, FleetError
from sltfleet.core.following import CHUNK_BYTES
from sltfleet.core.polling import DONE, RUNNING
from sltfleet.core.shell import Script
from sltfleet.transport.base import CommandResult
from sltfleet.wire.events import Event, Note, event_to_line
from tests.support.local_fleet import PROJECT, local_fleet
from tests.support.states import RUN_ID
from tests.support.transports import ScriptedTransport, answer
from tests.support.waiting import PATIENCE_S

LATER_RUN = "20261123-140000-000001"


class Files:
    """What a runner writes on one host."""

    def __init__(self, root: Path) -> None:
        self.project = root / PROJECT
        self.begin(RUN_ID)

    def begin(self, run_id: str) -> None:
        self.run_dir = self.project / "runs" / run_id
        self.run_dir.mkdir(parents=True)
        (self.run_dir / "journal.jsonl").touch()
        (self.project / "current").write_text(f"{run_id}\n")

    def note(self, *texts: str) -> None:
        self.append("journal.jsonl", b"".join(event_to_line(Note(1.0, text)) for text in texts))

    def append(self, name: str, data: bytes) -> None:
        with open(self.run_dir / name, "ab") as file:
            file.write(data)


@pytest.fixture
def files(odd_path: Path) -> Files:
    return Files(odd_path / "alpha")


@pytest.fixture
def fleet(odd_path: Path, files: Files) -> Fleet:
    return local_fleet(odd_path, {"alpha": str(odd_path / "alpha")})


@pytest.fixture
def reader(fleet: Fleet) -> LogReader:
    return LogReader(fleet.hosts[0], None, runner_log=False)


def texts(lines: list[LogLine]) -> list[str]:
    return [note(line.event) for line in lines]


def note(event: Event | None) -> str:
    assert isinstance(event, Note)
    return event.text


def logs(
    fleet: Fleet,
    *,
    follow: bool = False,
    runner_log: bool = False,
    condition: Callable[[Host, str | None], str] = lambda _host, _run_id: DONE,
    on_error: Callable[[str, FleetError], None] = lambda _host, error: pytest.fail(str(error)),
    on_idle: Callable[[str], None] = lambda _host: None,
) -> Iterator[LogLine]:
    return read_logs(
        fleet,
        None,
        follow=follow,
        runner_log=runner_log,
        condition=condition,
        on_error=on_error,
        on_idle=on_idle,
        interval_s=0.002,
    )


class TestTheReader:
    def test_each_line_comes_once_and_whole(self, files: Files, reader: LogReader) -> None:
        files.note("one", "two")
        assert texts(reader.read()) == ["one", "two"]
        assert reader.read() == []
        line = event_to_line(Note(1.0, "three"))
        files.append("journal.jsonl", line[:10])
        assert reader.read() == []
        files.append("journal.jsonl", line[10:])
        assert texts(reader.read()) == ["three"]

    def test_it_begins_with_the_last_lines_of_a_long_file(self, files: Files, reader: LogReader) -> None:
        files.note(*(f"number {number} {'x' * 100}" for number in range(2000)))
        lines = reader.read()
        assert note(lines[-1].event).startswith("number 1999 ")
        assert TAIL_BYTES // 200 < len(lines) < TAIL_BYTES // 100

    def test_a_line_longer_than_a_piece_holds_nothing_up(self, files: Files, reader: LogReader) -> None:
        assert reader.read() == []
        files.note("x" * (CHUNK_BYTES + 10), "after it")
        found: list[str] = []
        for _ in range(3):
            found += texts(reader.read())
        assert found == ["after it"]

    def test_it_stays_with_its_run_when_another_one_begins(self, files: Files, reader: LogReader) -> None:
        files.note("one")
        assert texts(reader.read()) == ["one"]
        files.begin(LATER_RUN)
        files.note("of the later run")
        assert reader.read() == []
        assert reader.run_id == RUN_ID

    def test_the_runner_s_own_log_is_text_whatever_its_bytes(self, files: Files, fleet: Fleet) -> None:
        reader = LogReader(fleet.hosts[0], None, runner_log=True)
        files.append("runner.log", b"caf\xe9\n\x1b[31m{}\n")
        assert [line.text for line in reader.read()] == ["caf�", "\x1b[31m{}"]

    def test_a_host_without_a_run_has_no_lines(self, odd_path: Path) -> None:
        fleet = local_fleet(odd_path, {"alpha": str(odd_path / "nothing")})
        assert LogReader(fleet.hosts[0], None, runner_log=False).read() == []


class TestReadingTheFleet:
    @pytest.mark.parametrize("follow", [False, True])
    def test_a_host_without_a_run_is_told_once_and_the_others_lines_come(
        self, odd_path: Path, files: Files, follow: bool
    ) -> None:
        files.note("one")
        fleet = local_fleet(odd_path, {"alpha": str(odd_path / "alpha"), "idle": str(odd_path / "nothing")})
        idle: list[str] = []
        assert texts(list(logs(fleet, follow=follow, on_idle=idle.append))) == ["one"]
        assert idle == ["idle"]

    def test_a_run_that_has_written_nothing_yet_is_a_run(self, files: Files, fleet: Fleet) -> None:
        (files.run_dir / "journal.jsonl").unlink()
        assert list(logs(fleet, on_idle=lambda host: pytest.fail(f"{host} is idle"))) == []

    def test_without_following_it_ends_though_the_run_goes_on_writing(self, files: Files, fleet: Fleet) -> None:
        files.note("one")
        found = []
        for line in logs(fleet, condition=lambda _host, _run_id: RUNNING):
            found.append(line)
            files.note("more")
        assert texts(found) == ["one"]

    def test_following_gives_what_was_written_until_the_run_settled(self, files: Files, fleet: Fleet) -> None:
        files.note("one")
        asked: list[str | None] = []

        def condition(_host: Host, run_id: str | None) -> str:
            asked.append(run_id)
            if len(asked) < 3:
                return RUNNING
            files.note("its last words")  # settled, as of now: they must be read all the same
            return DONE

        assert texts(list(logs(fleet, follow=True, condition=condition))) == ["one", "its last words"]
        assert asked == [None, RUN_ID, RUN_ID]

    def test_following_reads_to_the_end_of_what_is_longer_than_a_piece(self, files: Files, fleet: Fleet) -> None:
        asked: list[str | None] = []

        def condition(_host: Host, run_id: str | None) -> str:
            asked.append(run_id)
            if len(asked) == 1:
                return RUNNING
            if len(asked) == 2:
                files.append("journal.jsonl", (b"x" * 99 + b"\n") * (2 * CHUNK_BYTES // 100))
                files.note("the end")
            return DONE

        assert texts(list(logs(fleet, follow=True, condition=condition))) == ["the end"]

    def test_a_host_that_fails_is_told_once_and_hides_no_other(self, odd_path: Path, files: Files) -> None:
        def fails(_script: Script) -> CommandResult:
            raise ConnectError("cannot connect")

        roots = {"beta": "/nowhere", "alpha": str(odd_path / "alpha")}
        fleet = local_fleet(odd_path, roots, {"beta": ScriptedTransport("beta", fails)})
        files.note("one")
        told: list[str] = []
        found = list(logs(fleet, on_error=lambda host, error: told.append(f"{host}: {error.what}")))
        assert (texts(found), told) == (["one"], ["beta: cannot connect"])

    def test_a_followed_host_that_fails_for_a_while_is_told_once_and_asked_again(self, odd_path: Path) -> None:
        error = ConnectError("cannot connect")
        replies: list[str | ConnectError] = [error, error, error, ""]

        def respond(_script: Script) -> CommandResult:
            reply = replies.pop(0)
            if isinstance(reply, ConnectError):
                raise reply
            return answer(reply)

        fleet = local_fleet(odd_path, {"beta": "/nowhere"}, {"beta": ScriptedTransport("beta", respond)})
        told: list[FleetError] = []
        assert list(logs(fleet, follow=True, on_error=lambda _host, error: told.append(error))) == []
        assert (told, replies) == ([error], [])

    def test_a_slow_host_delays_nobody_s_lines(self, odd_path: Path, files: Files) -> None:
        gate = threading.Event()

        def slow(_script: Script) -> CommandResult:
            gate.wait(PATIENCE_S)
            return answer()

        roots = {"slow": "/nowhere", "alpha": str(odd_path / "alpha")}
        fleet = local_fleet(odd_path, roots, {"slow": ScriptedTransport("slow", slow)})
        files.note("one")
        lines = logs(fleet)
        try:
            assert note(next(lines).event) == "one"
            assert not gate.is_set()
        finally:
            gate.set()
        assert list(lines) == []

    def test_a_defect_is_raised(self, odd_path: Path) -> None:
        def defect(_script: Script) -> CommandResult:
            raise KeyError("a defect")

        fleet = local_fleet(odd_path, {"beta": "/nowhere"}, {"beta": ScriptedTransport("beta", defect)})
        with pytest.raises(KeyError, match="a defect"):
            list(logs(fleet))
