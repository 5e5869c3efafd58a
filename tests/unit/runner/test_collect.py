"""Reading what a verdict needs: nothing stale, nothing endless."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sltfleet.runner import collect, verdicts
from sltfleet.runner.collect import Collector
from sltfleet.runner.outputs import GrowingOutput
from sltfleet.wire.spec import ExitCodeVerdict, JsonVerdict, OutputVerdict

RULE = JsonVerdict("out {worker}.json", "p", "f")
VALUES = {"unit": "u", "worker": "3"}


def test_a_file_from_an_earlier_attempt_is_removed_before_the_next(odd_path: Path) -> None:
    (odd_path / "out 3.json").write_text('{"p": ["x"], "f": []}')
    verdict = Collector(RULE, str(odd_path), VALUES).collect(0, None)
    assert verdict.outcome == "fail"
    assert verdict.message == "the verdict file out 3.json was not written (exit code 0)"


def test_the_file_that_the_attempt_wrote_is_read(odd_path: Path) -> None:
    collector = Collector(RULE, str(odd_path), VALUES)
    (odd_path / "out 3.json").write_text('{"p": ["x"], "f": []}')
    assert collector.collect(0, None).passed == ("x",)


def test_a_stale_file_that_cannot_be_removed_is_not_believed(odd_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    (odd_path / "out 3.json").write_text('{"p": ["x"], "f": []}')
    monkeypatch.setattr(collect, "remove_file", denied)
    collector = Collector(RULE, str(odd_path), VALUES)
    assert "older than the attempt" in collector.collect(0, None).message
    (odd_path / "out 3.json").write_text('{"p": ["x", "y"], "f": []}')
    assert collector.collect(0, None).outcome == "pass"


def test_a_pipe_or_folder_in_the_files_place_does_not_block(odd_path: Path) -> None:
    collector = Collector(RULE, str(odd_path), VALUES)
    os.mkfifo(odd_path / "out 3.json")
    assert "not a regular file" in collector.collect(0, None).message
    (odd_path / "out 3.json").unlink()
    (odd_path / "out 3.json").mkdir()
    assert collector.collect(0, None).outcome == "fail"


def test_a_folder_that_an_earlier_attempt_left_is_not_the_next_ones_fault(odd_path: Path) -> None:
    (odd_path / "out 3.json").mkdir()
    Collector(RULE, str(odd_path), VALUES)
    assert not (odd_path / "out 3.json").exists()
    (odd_path / "out 3.json" / "full").mkdir(parents=True)
    assert "older than the attempt" in Collector(RULE, str(odd_path), VALUES).collect(0, None).message


def test_a_file_that_is_too_large_is_not_read(odd_path: Path) -> None:
    collector = Collector(RULE, str(odd_path), VALUES)
    with open(odd_path / "out 3.json", "wb") as file:
        file.truncate(verdicts.MAX_JSON_BYTES + 1)
    assert "too large" in collector.collect(0, None).message


def test_patterns_are_searched_in_the_kept_output(odd_path: Path) -> None:
    (odd_path / "o").write_text("ok one\nok two\n")
    collector = Collector(OutputVerdict(passed=("^ok (?P<case>.*)$",)), str(odd_path), VALUES)
    assert collector.collect(0, GrowingOutput(str(odd_path / "o"), 1000)).passed == ("one", "two")
    assert collector.collect(0, None).passed == ("u",)


def test_a_pattern_that_backtracks_without_end_does_not_hold_up_the_runner(
    odd_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "PATTERN_LIMIT_S", 0.1)
    (odd_path / "o").write_text("a" * 60 + "!")
    collector = Collector(OutputVerdict(failed=("^(a+)+$",)), str(odd_path), VALUES)
    verdict = collector.collect(0, GrowingOutput(str(odd_path / "o"), 1000))
    assert verdict.outcome == "fail"
    assert "took more than 0.1 s" in verdict.message


def test_an_exit_code_needs_no_file(odd_path: Path) -> None:
    assert Collector(ExitCodeVerdict(), str(odd_path), VALUES).collect(0, None).outcome == "pass"
    assert Collector(ExitCodeVerdict(), str(odd_path), VALUES).collect(None, None).outcome == "fail"
