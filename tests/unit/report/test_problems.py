from __future__ import annotations

import click
import pytest

from sltfleet.core.errors import BuildError, ConfigError, ConfigProblem, ConnectError, FleetError
from sltfleet.report.problems import (
    MAX_DETAIL_LINES,
    error_lines,
    show_defect,
    show_error,
    show_traceback,
    warning_lines,
)
from tests.support.golden import check_golden


def shown(error: FleetError, *hosts: str) -> str:
    return click.unstyle("\n".join(error_lines(error, hosts)))


class TestAnError:
    def test_it_says_what_failed_where_why_and_what_to_do(self) -> None:
        error = ConnectError(
            "cannot connect",
            "connection refused\nby 127.0.0.9 port 22",
            "is it on? look with:\nssh alpha",
            host="alpha",
            command="ssh alpha sh",
        )
        check_golden("status/error.txt", shown(error))

    def test_what_is_not_known_has_no_line(self) -> None:
        assert shown(FleetError("it failed")) == "error: it failed"

    def test_an_error_of_several_hosts_names_them_all(self) -> None:
        assert (
            shown(BuildError("the build failed", host="alpha"), "alpha", "beta")
            == "error: alpha, beta: the build failed"
        )

    def test_of_a_long_detail_the_head_and_the_tail_are_shown(self) -> None:
        lines = shown(FleetError("it failed", detail="\n".join(map(str, range(1000))))).splitlines()[1:]
        assert len(lines) == MAX_DETAIL_LINES + 1
        assert (lines[0], lines[-1]) == ("  | 0", "  | 999")
        assert f"  | … {1000 - MAX_DETAIL_LINES} lines left out …" in lines

    def test_all_mistakes_of_a_file_are_told_with_their_places(self) -> None:
        problems = [
            ConfigProblem(3, 5, "hosts.alpha.worker", "unknown key", "did you mean 'workers'?"),
            ConfigProblem(9, 1, "", "is no mapping"),
            ConfigProblem(0, 0, "suites", "is missing"),
        ]
        check_golden("status/config_error.txt", shown(ConfigError("", path="my fleet.yaml", problems=problems)))

    def test_one_mistake_is_one_mistake(self) -> None:
        error = ConfigError("", path="f", problems=[ConfigProblem(1, 1, "k", "m")])
        assert shown(error).startswith("error: f has 1 mistake\n")

    def test_what_comes_from_a_host_is_made_visible(self) -> None:
        bad = "\x1b[2Jx\r"
        for error in (
            FleetError(bad, bad, bad, bad, bad, bad),
            ConfigError("", fix=bad, path=bad, problems=[ConfigProblem(1, 1, bad, bad, bad)]),
        ):
            assert not set("".join(shown(error))) & set("\x1b\r")


class TestPrinting:
    def test_problems_go_to_standard_error_without_colour_where_that_is_no_terminal(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        show_error(FleetError("it failed", fix="try again"))
        out, err = capsys.readouterr()
        assert out == ""
        assert err == "error: it failed\n  next: try again\n"

    def test_a_warning_says_what_to_do_next(self) -> None:
        assert [click.unstyle(line) for line in warning_lines("a\x1b warning", "mind it")] == [
            "warning: a␛ warning",
            "  next: mind it",
        ]

    def test_colour_can_be_forced(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FORCE_COLOR", "1")
        show_error(FleetError("it failed"))
        assert "\x1b[" in capsys.readouterr().err

    def test_a_defect_names_its_place_and_how_to_see_more(self, capsys: pytest.CaptureFixture[str]) -> None:
        try:
            raise KeyError("k\x1b")
        except KeyError as error:
            show_defect(error)
        said = capsys.readouterr().err
        assert "sltfleet has a defect: KeyError: 'k\\x1b'" in said
        assert "test_a_defect_names_its_place_and_how_to_see_more" in said
        assert "-v" in said

    def test_a_traceback_has_its_lines_and_no_control_characters(self, capsys: pytest.CaptureFixture[str]) -> None:
        try:
            raise FleetError("bad \x1b[2J")
        except FleetError as error:
            show_traceback(error)
        said = capsys.readouterr().err
        assert said.startswith("Traceback")
        assert "\x1b" not in said
        assert "␛[2J" in said
