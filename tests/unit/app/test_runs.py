from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from sltfleet.app.runs import RunRecord, list_runs, load_run, resolve_run, save_run, write_aside
from sltfleet.core.errors import RunError
from sltfleet.core.paths import LocalPaths

FIRST = "20261123-120312-3f9a1c"
SECOND = "20261123-130000-00001c"
RECORD = RunRecord(
    run_id=FIRST,
    project="sample",
    suite="slt",
    hosts=("alpha", "béta"),
    workers={"alpha": 2, "béta": 64},
    started_wall_s=1_795_435_392.5,
    budget_s=30.0,
    seed=2**63 - 1,
    commit="c0ffee",
    dirty_digest="",
)


@pytest.fixture
def paths(odd_path: Path) -> LocalPaths:
    return LocalPaths(odd_path)


class TestARecord:
    def test_what_was_saved_is_loaded(self, paths: LocalPaths) -> None:
        save_run(paths, RECORD)
        assert load_run(paths, FIRST) == RECORD

    def test_it_is_for_this_user_only_and_leaves_nothing_beside_it(self, paths: LocalPaths) -> None:
        save_run(paths, RECORD)
        folder = paths.run(FIRST)
        assert [path.name for path in folder.iterdir()] == ["run.json"]
        assert paths.run_record(FIRST).stat().st_mode & 0o077 == 0

    def test_a_run_of_another_controller_has_none(self, paths: LocalPaths) -> None:
        assert load_run(paths, FIRST) is None

    @pytest.mark.parametrize(
        "damage",
        ["", "{", "[]", "null", '{"run_id": 1}', json.dumps({**asdict(RECORD), "hosts": [1]}), '{"hosts": "alpha"}'],
    )
    def test_a_damaged_one_is_none(self, paths: LocalPaths, damage: str) -> None:
        save_run(paths, RECORD)
        paths.run_record(FIRST).write_text(damage)
        assert load_run(paths, FIRST) is None

    def test_one_of_a_newer_version_with_more_in_it_is_read(self, paths: LocalPaths) -> None:
        save_run(paths, RECORD)
        paths.run_record(FIRST).write_text(json.dumps({**asdict(RECORD), "mood": "sunny"}))
        assert load_run(paths, FIRST) == RECORD

    def test_a_folder_that_cannot_be_written_is_an_error_that_names_it(self, paths: LocalPaths) -> None:
        paths.state_dir.write_text("a file in the way")
        with pytest.raises(RunError, match="cannot remember the run") as caught:
            save_run(paths, RECORD)
        assert str(paths.run_record(FIRST)) in caught.value.why


class TestTheList:
    def test_it_is_empty_where_nothing_ever_ran(self, paths: LocalPaths) -> None:
        assert list_runs(paths) == []

    def test_it_has_the_oldest_first_and_only_what_is_a_run(self, paths: LocalPaths) -> None:
        save_run(paths, replace(RECORD, run_id=SECOND))
        save_run(paths, RECORD)
        (paths.runs / ".DS_Store").write_text("")
        (paths.runs / "notes").mkdir()
        assert list_runs(paths) == [FIRST, SECOND]

    def test_a_folder_that_cannot_be_read_is_an_error_that_names_it(self, paths: LocalPaths) -> None:
        paths.state_dir.mkdir()
        paths.runs.write_text("a file in the way")
        with pytest.raises(RunError) as caught:
            list_runs(paths)
        assert str(paths.runs) in caught.value.why


class TestANameOfARun:
    @pytest.fixture(autouse=True)
    def _two_runs(self, paths: LocalPaths) -> None:
        save_run(paths, RECORD)
        save_run(paths, replace(RECORD, run_id=SECOND))

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (None, SECOND),
            (FIRST, FIRST),
            ("20261123-12", FIRST),
            ("3f9a1c", FIRST),
            ("00001c", SECOND),
            ("20250101-000000-ffffff", "20250101-000000-ffffff"),
        ],
    )
    def test_it_is_the_whole_id_its_beginning_or_its_end(
        self, paths: LocalPaths, text: str | None, expected: str
    ) -> None:
        assert resolve_run(paths, text) == expected

    def test_one_that_fits_several_is_refused_with_their_ids(self, paths: LocalPaths) -> None:
        with pytest.raises(RunError, match="names several") as caught:
            resolve_run(paths, "1c")
        assert FIRST in caught.value.why
        assert SECOND in caught.value.why

    @pytest.mark.parametrize("text", ["", "nope", "..", "../" + FIRST])
    def test_one_that_fits_none_is_refused(self, paths: LocalPaths, text: str) -> None:
        with pytest.raises(RunError, match="no run") as caught:
            resolve_run(paths, text)
        assert caught.value.why == f"known are {FIRST}, {SECOND}"


def test_without_any_run_the_newest_is_none(paths: LocalPaths) -> None:
    assert resolve_run(paths, None) is None


class TestWritingAside:
    def test_a_reader_sees_the_new_content_whole(self, odd_path: Path) -> None:
        path = odd_path / "file"
        write_aside(path, b"old")
        write_aside(path, b"new")
        assert path.read_bytes() == b"new"

    def test_what_fails_leaves_the_old_content_and_nothing_beside_it(
        self, odd_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = odd_path / "file"
        write_aside(path, b"old")

        def full(*_args: object) -> int:
            raise OSError(28, os.strerror(28))

        monkeypatch.setattr(Path, "replace", full)
        with pytest.raises(OSError, match="No space left"):
            write_aside(path, b"new")
        assert path.read_bytes() == b"old"
        assert list(odd_path.iterdir()) == [path]
