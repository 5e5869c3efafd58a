from __future__ import annotations

import io
import sys

import pytest

from sltfleet.core.polling import DONE, IDLE, LOST, RUNNING, UNREACHABLE, HostStatus
from sltfleet.report import live
from sltfleet.report.live import DETACH_HINT, WatchDisplay, plain_line
from sltfleet.report.terminal import is_live, wants_color
from sltfleet.wire.state import FINISHED
from tests.support.golden import check_golden
from tests.support.states import RUN_ID, make_state

ALPHA = HostStatus("alpha", RUNNING, RUN_ID, make_state())


class Terminal(io.StringIO):
    """Standard error as a terminal that remembers."""

    def isatty(self) -> bool:
        return True


class TestWithoutATerminal:
    def test_each_host_has_one_line(self) -> None:
        statuses = [
            ALPHA,
            HostStatus("beta\x1b", UNREACHABLE, problem="cannot connect: timed out\x1b"),
            HostStatus("gamma", LOST, RUN_ID, make_state()),
            HostStatus("delta", IDLE),
            HostStatus("epsilon", DONE, RUN_ID, make_state(phase=FINISHED, reason="budget", active=0)),
        ]
        check_golden("status/plain_lines.txt", "\n".join(map(plain_line, statuses)))

    def test_it_says_where_it_stands_now_and_then_only(self, capsys: pytest.CaptureFixture[str]) -> None:
        with WatchDisplay("run") as display:
            for _ in range(100):
                display.show([ALPHA])
        assert capsys.readouterr() == ("", plain_line(ALPHA) + "\n")

    def test_each_interval_has_its_lines(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(live, "PLAIN_INTERVAL_S", 0.0)
        with WatchDisplay("run") as display:
            display.show([ALPHA])
            display.show([ALPHA])
        assert capsys.readouterr().err == 2 * (plain_line(ALPHA) + "\n")

    def test_a_start_without_numbers_does_not_use_the_interval_up(self, capsys: pytest.CaptureFixture[str]) -> None:
        with WatchDisplay("run") as display:
            display.show([])
            display.show([HostStatus("alpha", RUNNING, RUN_ID)])
            display.show([ALPHA])
        assert capsys.readouterr().err == plain_line(ALPHA) + "\n"

    def test_a_fleet_that_cannot_be_reached_is_told_though_it_has_no_numbers(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with WatchDisplay("run") as display:
            display.show([HostStatus("alpha", UNREACHABLE, problem="timed out")])
        assert capsys.readouterr().err == "alpha: unreachable (timed out)\n"


class TestOnATerminal:
    def test_the_table_is_drawn_with_its_title_and_the_way_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "200")
        with WatchDisplay("run 20261123 [bold]") as display:
            display.show([HostStatus("[red]alpha", UNREACHABLE, RUN_ID, make_state(), "timed out")])
        drawn = terminal.getvalue()
        for text in ("run 20261123 [bold]", "[red]alpha", "unreachable", "timed out", DETACH_HINT[:40]):
            assert text in drawn

    def test_the_terminal_is_left_as_it_was_also_by_ctrl_c(self, monkeypatch: pytest.MonkeyPatch) -> None:
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        monkeypatch.setenv("TERM", "xterm")
        with pytest.raises(KeyboardInterrupt), WatchDisplay("run"):
            raise KeyboardInterrupt
        assert "\x1b[?25h" in terminal.getvalue(), "the cursor is there again"


class TestWhatAStreamGets:
    @pytest.mark.parametrize(
        ("environment", "terminal", "expected"),
        [
            ({}, False, False),
            ({"TERM": "xterm"}, True, True),
            ({"TERM": "dumb"}, True, False),
            ({"TERM": "xterm", "NO_COLOR": "1"}, True, False),
            ({"TERM": "xterm", "NO_COLOR": ""}, True, True),
            ({"FORCE_COLOR": "1"}, False, True),
            ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, True),
        ],
    )
    def test_colour_is_a_matter_of_the_stream_and_two_variables(
        self, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], terminal: bool, expected: bool
    ) -> None:
        monkeypatch.delenv("TERM", raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        assert wants_color(Terminal() if terminal else io.StringIO()) is expected

    def test_only_a_terminal_that_can_move_its_cursor_is_redrawn(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TERM", "xterm")
        assert is_live(Terminal())
        assert not is_live(io.StringIO())
        monkeypatch.setenv("TERM", "dumb")
        assert not is_live(Terminal())
