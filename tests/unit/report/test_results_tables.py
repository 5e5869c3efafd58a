from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click
import pytest

from sltfleet.app.report import RunReport
from sltfleet.report.comparison_table import comparison_table
from sltfleet.report.flaky import flaky_table
from sltfleet.report.results_json import comparison_json, run_json
from sltfleet.report.results_tables import causes_table, failing_table, run_tables, slowest_table
from sltfleet.report.tables import MAX_ROWS
from sltfleet.results.model import Cause, FailingCase, Flaky, SlowUnit
from tests.support.golden import check_golden
from tests.unit.report.reports import hostile, looping, once, queued

MAKERS = [looping, once, hostile, queued]


def names(maker: Callable[[Path], RunReport]) -> str:
    return maker.__name__


@pytest.mark.parametrize("maker", MAKERS, ids=names)
def test_the_tables_of_a_run_look_as_they_should(maker: Callable[[Path], RunReport], tmp_path: Path) -> None:
    check_golden(f"report/{maker.__name__}.txt", click.unstyle(run_tables(maker(tmp_path))))


@pytest.mark.parametrize("maker", MAKERS, ids=names)
def test_the_json_of_a_run_is_as_documented(maker: Callable[[Path], RunReport], tmp_path: Path) -> None:
    text = json.dumps(run_json(maker(tmp_path)), indent=1, allow_nan=False)
    text.encode("ascii")
    check_golden(f"report/{maker.__name__}.json", text)


def test_runs_are_compared_side_by_side(tmp_path: Path) -> None:
    reports = (once(tmp_path / "a"), looping(tmp_path / "b"))
    check_golden("report/compare.txt", click.unstyle(comparison_table(reports)))
    check_golden("report/compare.json", json.dumps(comparison_json(reports), indent=1, allow_nan=False))


def test_nothing_that_a_host_wrote_reaches_the_terminal_raw(tmp_path: Path) -> None:
    report = hostile(tmp_path)
    for text in (run_tables(report), comparison_table((report, report))):
        plain = click.unstyle(text).replace("\n", "")
        assert all(unicodedata.category(character) not in ("Cc", "Cf", "Cs") for character in plain)
        assert "test.sql" in plain or "owned" in plain


def test_a_long_list_is_cut_and_says_so(tmp_path: Path) -> None:
    case = FailingCase("c", "u", "m", 1, 0, ("a", "b", "c", "d"), "")
    report = replace(once(tmp_path), failing=(case,) * (MAX_ROWS + 1234))
    text = click.unstyle(run_tables(report))
    assert "… and 1,234 more" in text
    assert "a, b, c and 1 more" in text


def test_a_case_without_a_name_is_no_blank_row() -> None:
    case = FailingCase("", "u", "m", 1, 0, ("a",), "")
    cause = Cause("s", "m", "", 1, 1, ("a",), 1.5, ("",))
    slow, flaky = SlowUnit("", 1.0, 1.0, 1), Flaky("case", "", "b", 1, 1, ("a",), "m")
    tables = (failing_table([case], [cause]), causes_table([cause]), slowest_table([slow]), flaky_table([flaky]))
    assert all("(no name)" in text for text in tables)


def test_a_table_without_rows_is_not_shown(tmp_path: Path) -> None:
    assert failing_table(()) == ""
    assert "Failing" not in run_tables(replace(once(tmp_path), failing=()))


def test_causes_are_numbered_and_each_failing_case_tells_its_own() -> None:
    causes = tuple(
        Cause(f"s{number}", "", f"c{number}", 1, 1, ("a",), 1.5, (f"c{number}", "both")) for number in range(2)
    )
    cases = [FailingCase(name, "u", "m", 1, 0, ("a",), "") for name in ("c0", "c1", "both", "other")]
    assert "(no message)" in causes_table(causes)
    rows = [line.split()[:2] for line in click.unstyle(failing_table(cases, causes)).splitlines()[2:]]
    assert rows == [["c0", "1"], ["c1", "2"], ["both", "1,"], ["other", "-"]]
