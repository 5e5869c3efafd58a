"""Why a build failed, read from real output of cargo, rustc and rustup."""

from __future__ import annotations

from typing import Any

import pytest

from sltfleet.core.building import BROKEN_CARGO_CODE, CHANGED_CODE, NO_BINARY_CODE, NO_CARGO_CODE, NO_MANIFEST_CODE
from sltfleet.core.cargo_failures import (
    MAX_SHOWN_LINES,
    build_failure,
    distinct_errors,
    rendered_errors,
    script_failure,
)
from sltfleet.core.errors import BuildError, ConnectError
from tests.support.cases import load_cases

ROOT = "/home/u/.sltfleet/p"


@pytest.mark.parametrize("case", load_cases("cargo/failures"), ids=lambda case: case["what"])
def test_a_failure_is_explained_with_its_fix(case: dict[str, Any]) -> None:
    error = build_failure(case["exit_code"], case["stderr"], project_root=ROOT)
    assert error.what == case["what"]
    assert error.why
    assert case["fix"] in error.fix
    assert ROOT not in error.detail
    for text in case["shown"]:
        assert text in error.detail
    for text in case["hidden"]:
        assert text not in error.detail


def test_warnings_are_shown_where_they_are_asked_for() -> None:
    text = "warning: unused\n --> a.rs\n\nerror: bad\n --> b.rs\n\nwarning: late\n"
    assert rendered_errors(text) == "error: bad\n --> b.rs"
    assert rendered_errors(text, warnings=True) == text.strip()


def test_a_flood_of_errors_is_cut() -> None:
    lines = rendered_errors("error: bad\n" * 10_000).split("\n")
    assert len(lines) == MAX_SHOWN_LINES + 1
    assert "more lines" in lines[-1]


def test_a_cargo_that_was_killed_speaks_of_memory() -> None:
    assert "jobs" in build_failure(137, "").fix
    assert "exit code 3" in build_failure(3, "").why


@pytest.mark.parametrize("code", [NO_MANIFEST_CODE, NO_CARGO_CODE, CHANGED_CODE, NO_BINARY_CODE])
def test_every_problem_of_the_scripts_has_a_fix(code: int) -> None:
    assert script_failure(code, "", "Cargo.toml").fix


def test_a_cargo_that_does_not_work_is_explained_by_its_own_words() -> None:
    error = script_failure(BROKEN_CARGO_CODE, "error: toolchain 'x' is not installed\n", "Cargo.toml")
    assert "rustup toolchain install x" in error.fix
    assert "boom" in script_failure(1, "sh: boom\n", "Cargo.toml").why


def test_the_same_error_on_several_hosts_is_one() -> None:
    def panic(pid: int, digest: str) -> BuildError:
        return BuildError("failed", detail=f"thread 'main' ({pid}) panicked in build-{digest} after 1.{pid} s")

    errors = {"a": panic(1, "0" * 16), "b": ConnectError("failed"), "c": panic(2, "f" * 16)}
    assert [(entry.hosts, entry.error) for entry in distinct_errors(errors)] == [
        (("a", "c"), errors["a"]),
        (("b",), errors["b"]),
    ]
