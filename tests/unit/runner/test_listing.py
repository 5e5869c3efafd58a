"""Asking programs for their units: what they say is kept; what is no list refuses the launch."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest

from sltfleet.runner.listing import ListingError, make_listing, read_listing
from sltfleet.runner.paths import RunPaths
from sltfleet.runner.units import resolve_units
from sltfleet.wire.spec import CommandUnits, ExitCodeVerdict, LibtestBinary, LibtestUnits, LibtestVerdict, Spec
from tests.support.specs import SPEC

HARNESS = """#!/bin/sh
[ "$NEEDED" = yes ] || exit 9
case "$*" in
  *--ignored*) echo 'slow: test' ;;
  *) printf 'slow: test\\nm::fast: test\\nbench: benchmark\\n' ;;
esac
"""


class Run:
    """A run's folder with a tree and one executable of the harness."""

    def __init__(self, folder: Path) -> None:
        self.paths = RunPaths(str(folder / "a run"))
        (folder / "a run" / "tree" / "crates" / "p").mkdir(parents=True)
        (folder / "a run" / "bin").mkdir()
        self.binary = folder / "a run" / "bin" / "t-0123"
        self.says(HARNESS)

    def says(self, script: str) -> None:
        self.binary.write_text(script)
        self.binary.chmod(0o700)

    def spec(self, units: LibtestUnits | CommandUnits) -> Spec:
        return replace(
            SPEC,
            binary="",
            env={"NEEDED": "yes", "UNIT": "{unit}"},
            units=units,
            verdict=LibtestVerdict() if isinstance(units, LibtestUnits) else ExitCodeVerdict(),
        )

    def tests(self, **more: object) -> LibtestUnits:
        digest = hashlib.sha256(b"").hexdigest()
        units = LibtestUnits((LibtestBinary("p::t", "/target/deps/t-0123", digest, "crates/p"),))
        return replace(units, **more)  # type: ignore[arg-type]

    def units(self, units: LibtestUnits | CommandUnits, *select: str) -> list[str]:
        listed = make_listing(self.spec(units), self.paths, os.environ)
        assert read_listing(self.paths) == listed
        return [unit.id for unit in resolve_units(units, select, self.paths.tree, listed).units]


@pytest.fixture
def run(odd_path: Path) -> Run:
    return Run(odd_path)


def test_ignored_tests_are_units_only_where_they_are_asked_for(run: Run) -> None:
    assert run.units(run.tests()) == ["p::t::m::fast"]
    assert run.units(run.tests(ignored="include")) == ["p::t::slow", "p::t::m::fast"]
    assert run.units(run.tests(ignored="only")) == ["p::t::slow"]


def test_tests_can_be_left_out_and_selected_by_their_units_id(run: Run) -> None:
    assert run.units(run.tests(ignored="include", exclude=("p::t::m::*",))) == ["p::t::slow"]
    assert run.units(run.tests(ignored="include"), "*::fast") == ["p::t::m::fast"]


def test_an_executable_that_is_left_out_is_not_even_asked(run: Run) -> None:
    run.says("#!/bin/sh\nexit 1\n")
    assert make_listing(run.spec(run.tests(exclude=("p::t",))), run.paths, os.environ) == {}


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("#!/bin/sh\necho running my own tests\n", "no line of libtest's list"),
        ("#!/bin/sh\necho broken >&2\nexit 3\n", "ended with 3: broken"),
        ("#!/no/such/interpreter\n", "No such file"),
        ("#!/bin/sh\nprintf '\\377: test\\n'\n", "not UTF-8"),
    ],
)
def test_an_executable_that_does_not_list_its_tests_is_named_with_the_way_out(run: Run, script: str, said: str) -> None:
    run.says(script)
    with pytest.raises(ListingError) as caught:
        make_listing(run.spec(run.tests()), run.paths, os.environ)
    assert "p::t" in str(caught.value)
    assert said in str(caught.value)
    assert "units.exclude" in caught.value.fix


def test_one_that_never_ends_is_ended(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sltfleet.runner.listing.LIST_LIMIT_S", 0.1)
    run.says("#!/bin/sh\nsleep 1000\n")
    with pytest.raises(ListingError, match="did not end in time"):
        make_listing(run.spec(run.tests()), run.paths, os.environ)


def test_the_lines_of_a_command_are_units(run: Run) -> None:
    (Path(run.paths.tree) / "list it").write_text("#!/bin/sh\nprintf 'one\\n\\n two words\\none\\n'\n")
    (Path(run.paths.tree) / "list it").chmod(0o700)
    assert run.units(CommandUnits(("true",), lines_of=("./list it",))) == ["one", " two words"]


def test_items_and_files_need_no_program(run: Run) -> None:
    assert resolve_units(CommandUnits(("true",), items=("a", "b")), ("b",), "/nowhere").units[0].id == "b"
    assert make_listing(run.spec(CommandUnits(("true",), items=("a",))), run.paths, os.environ) == {}
    assert read_listing(run.paths) == {}
