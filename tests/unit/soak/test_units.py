"""The independent observer: what units log of themselves, and reading it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from soak_test.units import CODES, SCRIPT, UNITS, read_log

RUN = "20260101-000000-abcdef"


def run_unit(folder: Path, unit: str) -> tuple[int, str]:
    """Run a unit as a runner does, and return its exit code and its log."""
    (folder / "unit.sh").write_text(SCRIPT)
    (folder / "version.txt").write_text("3\n")
    environment = {**os.environ, "LOG": str(folder / "log"), "SLTFLEET_RUN_DIR": f"/host/runs/{RUN}"}
    done = subprocess.run(
        ["bash", "unit.sh", unit, RUN, "5", "1"], cwd=folder, env=environment, capture_output=True, check=False
    )
    return done.returncode, (folder / "log").read_text()


@pytest.mark.parametrize("unit", ["pass-0.01", "fail-0.02", "crash-0.03", "loud-0.02"])
def test_a_unit_logs_its_start_and_the_code_that_it_ends_with(tmp_path: Path, unit: str) -> None:
    code, log = run_unit(tmp_path, unit)
    (seen,) = read_log(log, {"/host/runs": "alpha"})
    assert (seen.run, seen.host, seen.attempt, seen.worker, seen.unit, seen.version) == (RUN, "alpha", 5, 1, unit, "3")
    assert seen.code == code
    assert code in CODES[unit.partition("-")[0]]
    assert seen.end_s is not None
    assert seen.end_s >= seen.start_s


def test_every_unit_is_of_a_kind_whose_codes_are_known() -> None:
    assert {unit.partition("-")[0] for unit in UNITS} == set(CODES)


def test_an_attempt_that_was_ended_from_outside_has_no_end() -> None:
    log = f"start\t40\t12.50\t/host/runs/{RUN}\t{RUN} 5\t1\thang-600\t3\n"
    (seen,) = read_log(log, {"/host/runs": "alpha"})
    assert (seen.end_s, seen.code) == (None, None)


@pytest.mark.parametrize(
    "line",
    [
        f"end\t40\t12.50\t/host/runs/{RUN}\t{RUN} 5\t0",
        f"start\t40\t12.50\t/host/runs/another\t{RUN} 5\t1\thang-600\t3",
    ],
)
def test_a_line_that_no_unit_writes_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"belongs to no attempt|with the mark of"):
        read_log(line + "\n", {"/host/runs": "alpha"})
