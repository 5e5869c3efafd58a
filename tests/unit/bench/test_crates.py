"""What the sleeping tests' own log adds up to."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.crates import Span, makespan, occupancy, read_log


def test_a_log_is_read_by_test_and_process_and_what_did_not_end_has_no_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("start b 2 2.0\nstart a 1 1.0\nend b 2 2.5\nstart a 3 4.0\n")
    assert read_log(log) == [Span("a", 1.0, None), Span("b", 2.0, 2.5), Span("a", 4.0, None)]


def test_occupancy_counts_within_the_window_and_what_was_cut_until_its_end() -> None:
    spans = [Span("a", 100.0, 104.0), Span("b", 100.0, 130.0), Span("c", 108.0, None)]
    assert occupancy(spans, workers=2, window_s=10.0) == pytest.approx(100 * (4 + 10 + 2) / 20)


def test_a_makespan_is_from_the_first_start_to_the_last_end() -> None:
    assert makespan([Span("a", 1.0, 9.0), Span("b", 2.0, 5.0)]) == 8.0
