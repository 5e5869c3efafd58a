"""Output files while they grow, and what is kept of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sltfleet.runner.artifacts import Artifacts, safe_name
from sltfleet.runner.outputs import GrowingOutput, Outputs, left_out_line, store
from sltfleet.runner.paths import RunPaths
from sltfleet.wire.events import AttemptFinished

LIMIT = 256 * 1024


def append(path: Path, data: bytes) -> None:
    with open(path, "ab") as file:
        file.write(data)


def event(outcome: str, attempt: int = 1, unit: str = "a/b.test") -> AttemptFinished:
    return AttemptFinished(1.0, attempt, unit, 0, 1, 1, outcome, 0.5)


def test_a_small_output_is_kept_whole(odd_path: Path) -> None:
    append(odd_path / "o", b"hello")
    output = GrowingOutput(str(odd_path / "o"), LIMIT)
    output.trim()
    assert output.kept() == (b"hello", False)
    assert store(output, str(odd_path / "kept")) == (5, False)
    assert (odd_path / "kept").read_bytes() == b"hello"


@pytest.mark.parametrize("can_punch", [True, False], ids=["by punching holes", "by cutting"])
def test_a_growing_output_loses_its_middle_and_keeps_head_tail_and_size(odd_path: Path, can_punch: bool) -> None:
    path = odd_path / "o"
    output = GrowingOutput(str(path), LIMIT, can_punch)
    append(path, b"HEAD")
    for _ in range(40):
        append(path, b"x" * 100_000)
        output.trim()
        assert path.stat().st_blocks * 512 <= 4 * LIMIT
    append(path, b"TAIL")
    total = 8 + 40 * 100_000
    assert output.size() == total
    kept, truncated = output.kept()
    assert truncated
    half = LIMIT // 2
    missing = total - 2 * half
    assert kept == b"HEAD" + b"x" * (half - 4) + left_out_line(missing) + b"x" * (half - 4) + b"TAIL"
    assert store(output, str(odd_path / "kept")) == (len(kept), True)
    assert not path.exists()


def test_a_filesystem_without_holes_is_noticed(odd_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sltfleet.runner.linux.punch_hole", lambda *_: False)
    path = odd_path / "o"
    output = GrowingOutput(str(path), LIMIT)
    append(path, b"a" * 1_000_000)
    output.trim()
    assert path.stat().st_size == LIMIT // 2
    assert output.size() == 1_000_000
    assert not output.is_whole()


@given(st.lists(st.integers(0, 60), max_size=8), st.integers(2, 40), st.booleans())
def test_what_is_kept_begins_and_ends_as_the_output_did(sizes: list[int], limit: int, trim: bool) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "o"
        output = GrowingOutput(str(path), limit, punch=False)
        printed = b""
        for number, size in enumerate(sizes):
            data = bytes((number + index) % 251 for index in range(size))
            append(path, data)
            printed += data
            if trim:
                output.trim()
        kept, truncated = output.kept()
        half = limit // 2
        assert output.size() == len(printed)
        if truncated:
            assert kept.startswith(printed[:half])
            assert kept.endswith(printed[-half:])
            assert left_out_line(len(printed) - 2 * half) in kept
        else:
            assert kept == printed


def test_a_slot_reuses_its_file_only_while_it_is_empty_and_nobody_else_has_it_open(odd_path: Path) -> None:
    outputs = Outputs(str(odd_path), LIMIT)
    first = outputs.path(0)
    append(Path(first), b"")
    assert outputs.take(0, reusable=True) is None
    assert outputs.path(0) == first
    taken = outputs.take(0, reusable=False)
    assert taken is not None
    assert taken.path == first
    second = outputs.path(0)
    assert second != first
    append(Path(second), b"x")
    assert outputs.take(0, reusable=True) is not None
    assert outputs.path(0) not in (first, second)


def test_watching_trims_and_tells_how_fast_the_fastest_grows(odd_path: Path) -> None:
    outputs = Outputs(str(odd_path), LIMIT)
    path = Path(outputs.path(0))
    outputs.path(1)
    append(path, b"x" * 3_000_000)
    assert outputs.watch() == (3_000_000, [])
    assert path.stat().st_blocks * 512 < 3_000_000
    assert outputs.watch() == (0, [])


class TestArtifacts:
    def keep(self, artifacts: Artifacts, root: Path, data: bytes, finished: AttemptFinished) -> str:
        append(root / "o", data)
        return artifacts.keep(finished, GrowingOutput(str(root / "o"), LIMIT)).path

    def test_failures_are_kept_one_by_one_and_of_passes_the_last_per_unit(self, odd_path: Path) -> None:
        artifacts = Artifacts(RunPaths(str(odd_path)), 10_000, LIMIT)
        assert self.keep(artifacts, odd_path, b"bad", event("fail", 1)) == "artifacts/attempt-1.out"
        assert self.keep(artifacts, odd_path, b"cut", event("cut", 2)) == "artifacts/attempt-2.out"
        first = self.keep(artifacts, odd_path, b"good", event("pass", 3))
        second = self.keep(artifacts, odd_path, b"better", event("pass", 4))
        assert first == second == "artifacts/last/" + safe_name("a/b.test")
        assert (odd_path / second).read_bytes() == b"better"
        assert not (odd_path / "o").exists()

    def test_beyond_the_bound_only_the_size_is_told(self, odd_path: Path) -> None:
        artifacts = Artifacts(RunPaths(str(odd_path)), 10, LIMIT)
        assert self.keep(artifacts, odd_path, b"12345678", event("pass"))
        assert self.keep(artifacts, odd_path, b"87654321", event("pass")), "it takes the place of the one before"
        append(odd_path / "o", b"12345")
        output = artifacts.keep(event("fail", 2), GrowingOutput(str(odd_path / "o"), LIMIT))
        assert (output.size_bytes, output.path, output.truncated) == (5, "", True)
        assert not (odd_path / "o").exists()

    def test_no_output_leaves_no_file(self, odd_path: Path) -> None:
        artifacts = Artifacts(RunPaths(str(odd_path)), 10, LIMIT)
        assert self.keep(artifacts, odd_path, b"", event("fail")) == ""
        assert [entry.name for entry in (odd_path / "artifacts").iterdir()] == ["last"]


@given(st.lists(st.text(min_size=1, max_size=300), min_size=2, max_size=5, unique=True))
def test_names_of_outputs_are_safe_and_never_collide(units: list[str]) -> None:
    names = [safe_name(unit) for unit in units]
    assert len(set(names)) == len(units)
    for name in names:
        assert len(name.encode()) < 200
        assert "/" not in name
        assert not name.startswith(".")
        assert name.isascii()
        assert name.isprintable()
