"""What a run is made from: units, tree, views, environment, specification, archive."""

from __future__ import annotations

import ast
import io
import os
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from sltfleet.app.archive import SHEBANG, build_archive, runner_archive
from sltfleet.runner.messages import Attempt
from sltfleet.runner.spawn import attempt_environment, template_values
from sltfleet.runner.specfile import SpecError, check_spec, read_spec
from sltfleet.runner.tree import WrongBinaryError, copy_binary, snapshot
from sltfleet.runner.units import Unit, resolve_units, unit_values
from sltfleet.runner.views import make_targets, make_view
from sltfleet.wire.codec import to_text
from sltfleet.wire.spec import FileUnits, JsonVerdict, Limits, OutputVerdict, PartitionUnits
from tests.support.specs import SPEC


def make_files(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


class TestUnits:
    def test_files_are_found_below_their_root_and_narrowed(self, odd_path: Path) -> None:
        make_files(odd_path, "corpus/b/2.test", "corpus/a.test", "corpus/b/x.txt", "corpus/skip/3.test", "other/4.test")
        source = FileUnits("corpus", ("**/*.test",), ("skip/**",))
        units = resolve_units(source, (), str(odd_path)).units
        assert [unit.id for unit in units] == ["a.test", "b/2.test"]
        assert units[1].values["path"] == str(odd_path / "corpus/b/2.test")
        assert [unit.id for unit in resolve_units(source, ("b/*",), str(odd_path)).units] == ["b/2.test"]

    def test_a_name_that_is_not_utf8_is_left_out_with_a_note(self, odd_path: Path) -> None:
        with open(os.fsencode(odd_path) + b"/caf\xe9 \xc3\xbc.test", "wb"):
            pass
        make_files(odd_path, "ü.test")
        resolved = resolve_units(FileUnits("", ("*.test",)), (), str(odd_path))
        assert [unit.id for unit in resolved.units] == ["ü.test"]
        assert resolved.notes == ("left out, its name is not valid UTF-8: caf\\xe9 ü.test",)

    def test_partitions_keep_their_natural_order(self) -> None:
        units = resolve_units(PartitionUnits(12, 1), (), "/").units
        assert [unit.id for unit in units] == [f"{number}/12" for number in range(1, 13)]
        chosen = resolve_units(PartitionUnits(12), ("0/*", "11/12"), "/").units
        assert [unit.values["partition"] for unit in chosen] == ["0", "11"]


class TestTree:
    def test_a_snapshot_links_files_keeps_links_and_leaves_targets_out(self, odd_path: Path) -> None:
        source = odd_path / "repo"
        make_files(source, "a", "pkg/src/lib.rs", "pkg/target/x", "target/y", "pkg/sub/target/kept")
        (source / "link").symlink_to("pkg/src")
        (source / "dangling").symlink_to("nowhere")
        os.mkfifo(source / "pipe")
        snapshot(str(source), str(odd_path / "tree"), "pkg")
        tree = odd_path / "tree"
        assert (tree / "a").samefile(source / "a")
        assert (tree / "pkg/src/lib.rs").read_text() == "pkg/src/lib.rs"
        assert os.readlink(tree / "link") == "pkg/src"  # noqa: PTH115
        assert (tree / "dangling").is_symlink()
        assert sorted(entry.name for entry in tree.iterdir()) == ["a", "dangling", "link", "pkg"]
        assert sorted(entry.name for entry in (tree / "pkg").iterdir()) == ["src", "sub"]
        assert (tree / "pkg/sub/target/kept").exists()

    def test_files_are_copied_where_links_are_impossible(self, odd_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def impossible(*_: object, **__: object) -> None:
            raise OSError(18, "Invalid cross-device link")

        make_files(odd_path / "repo", "a")
        (odd_path / "repo/a").chmod(0o755)
        monkeypatch.setattr(os, "link", impossible)
        snapshot(str(odd_path / "repo"), str(odd_path / "tree"), "")
        assert (odd_path / "tree/a").read_text() == "a"
        assert not (odd_path / "tree/a").samefile(odd_path / "repo/a")
        assert os.access(odd_path / "tree/a", os.X_OK)

    def test_an_executable_other_than_the_one_that_was_built_is_refused(self, odd_path: Path) -> None:
        make_files(odd_path, "suite")
        digest = "0" * 64
        with pytest.raises(WrongBinaryError) as caught:
            copy_binary(str(odd_path / "suite"), str(odd_path / "bin/suite"), digest)
        copy_binary(str(odd_path / "suite"), str(odd_path / "bin/suite"), caught.value.found.upper())
        assert os.access(odd_path / "bin/suite", os.X_OK)

    def test_a_view_is_real_along_the_way_to_the_package_and_links_beside_it(self, odd_path: Path) -> None:
        tree, view = odd_path / "tree", odd_path / "view"
        make_files(tree, "Cargo.toml", "other/x", "crates/pkg/src/lib.rs", "crates/sibling/y", "target/old")
        make_view(str(tree), str(view), "crates/pkg")
        assert (view / "Cargo.toml").is_symlink()
        assert (view / "other/x").read_text() == "other/x"
        assert (view / "crates/sibling").is_symlink()
        assert not (view / "crates/pkg").is_symlink()
        assert (view / "crates/pkg/src").is_symlink()
        for target in (view / "target", view / "crates/pkg/target"):
            assert target.is_dir()
            assert not target.is_symlink()
            assert list(target.iterdir()) == []

    def test_a_view_of_a_package_in_the_root_has_one_target(self, odd_path: Path) -> None:
        make_files(odd_path / "tree", "Cargo.toml")
        make_view(str(odd_path / "tree"), str(odd_path / "view"), "")
        assert sorted(entry.name for entry in (odd_path / "view").iterdir()) == ["Cargo.toml", "target"]

    def test_a_view_that_lost_some_of_its_entries_is_made_whole(self, odd_path: Path) -> None:
        tree, view = odd_path / "tree", odd_path / "view"
        make_files(tree, "Cargo.toml", "crates/pkg/src/lib.rs")
        make_view(str(tree), str(view), "crates/pkg")
        (view / "target/kept").write_text("x")
        shutil.rmtree(view / "crates")
        make_view(str(tree), str(view), "crates/pkg")
        assert (view / "crates/pkg/src/lib.rs").read_text() == "crates/pkg/src/lib.rs"
        assert (view / "target/kept").read_text() == "x"

    def test_targets_may_be_there_already(self, odd_path: Path) -> None:
        make_targets(str(odd_path), "pkg")
        make_targets(str(odd_path), "pkg")
        assert (odd_path / "pkg" / "target").is_dir()


class TestEnvironment:
    ATTEMPT = Attempt(number=12, unit="u", worker=3, pass_number=2, seed=77, timeout_s=30.5)
    UNIT = Unit("u", unit_values("u", path="/t/u"))

    def test_every_placeholder_has_a_value(self) -> None:
        from sltfleet.wire.template import PLACEHOLDERS

        values = template_values(SPEC, self.UNIT, self.ATTEMPT, 17.9, "/b")
        assert set(values) == set(PLACEHOLDERS)
        assert (values["pass"], values["seed"], values["budget"], values["timeout"]) == ("2", "77", "17", "30")
        assert template_values(SPEC, self.UNIT, self.ATTEMPT, 0.2, "/b")["budget"] == "1"

    def test_the_suites_variables_come_last_but_the_mark_is_ours(self) -> None:
        spec = replace(SPEC, env={"CARGO_MANIFEST_DIR": "mine", "SLTFLEET_ATTEMPT": "x", "N": "{attempt}"})
        values = template_values(spec, self.UNIT, self.ATTEMPT, 1.0, "/b")
        found = attempt_environment(
            {"LD_LIBRARY_PATH": "/old", "N": "0"}, spec, self.ATTEMPT, values, "/f", "/run", spec.binary
        )
        assert found == {
            "LD_LIBRARY_PATH": "/t/release/deps:/t/release:/old",
            "CARGO_MANIFEST_DIR": "mine",
            "N": "12",
            "SLTFLEET_ATTEMPT": "r:12",
            "SLTFLEET_RUN_DIR": "/run",
        }


class TestSpecFile:
    def test_a_spec_is_read_back_as_it_was_written(self, odd_path: Path) -> None:
        (odd_path / "spec.json").write_text(to_text(SPEC))
        assert read_spec(str(odd_path / "spec.json")) == SPEC

    @pytest.mark.parametrize(
        "changes",
        [
            {"workers": -1},
            {"workers": 5000},
            {"budget_s": 0.0},
            {"limits": Limits(timeout_s=0.0)},
            {"limits": Limits(nice=99)},
            {"limits": Limits(output_bytes=0)},
            {"passes": 0},
            {"fail_fast": 0},
            {"workdir": "somewhere"},
            {"repo": "relative"},
            {"package_dir": "/absolute"},
            {"units": FileUnits("../up", ("*",))},
            {"units": FileUnits("", ("a**b",))},
            {"units": PartitionUnits(0)},
            {"select": ("",)},
            {"args": ("{nope}",)},
            {"env": {"A": "}"}},
            {"env": {"A=B": ""}},
            {"verdict": OutputVerdict(failed=("(",))},
        ],
    )
    def test_what_makes_no_sense_is_refused(self, changes: dict[str, object]) -> None:
        with pytest.raises(ValueError, match=r"\S"):
            check_spec(replace(SPEC, **changes))  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("package_dir", "path"), [("", "target/{worker}.json"), ("crates/a", "../../target/x.json")]
    )
    def test_a_verdict_file_may_lie_anywhere_in_the_tree(self, package_dir: str, path: str) -> None:
        check_spec(replace(SPEC, package_dir=package_dir, verdict=JsonVerdict(path, "passed", "failed")))

    @pytest.mark.parametrize(("package_dir", "path"), [("", "../x.json"), ("crates/a", "../../../x"), ("", "/etc/x")])
    def test_a_verdict_file_outside_the_tree_is_refused(self, package_dir: str, path: str) -> None:
        with pytest.raises(ValueError, match="leaves the tree"):
            check_spec(replace(SPEC, package_dir=package_dir, verdict=JsonVerdict(path, "passed", "failed")))

    def test_an_error_names_the_file(self, odd_path: Path) -> None:
        with pytest.raises(SpecError, match=r"spec\.json: No such file"):
            read_spec(str(odd_path / "spec.json"))


class TestArchive:
    def test_the_same_sources_give_the_same_bytes_whatever_their_order(self) -> None:
        one = build_archive({"b.py": b"2", "a.py": b"1"})
        assert one == build_archive({"a.py": b"1", "b.py": b"2"})
        assert one != build_archive({"a.py": b"1", "b.py": b"3"})
        assert one.name == f"runner-{one.sha256[:16]}.pyz"

    def test_the_archive_holds_the_wire_and_the_runner_and_nothing_else(self) -> None:
        archive = runner_archive()
        assert archive.data.startswith(SHEBANG)
        with zipfile.ZipFile(io.BytesIO(archive.data)) as content:
            names = content.namelist()
            allowed = ("sltfleet/wire/", "sltfleet/runner/")
            assert {"__main__.py", "sltfleet/__init__.py"} == {name for name in names if not name.startswith(allowed)}
            for name in names:
                _check_imports(name, content.read(name).decode())


def _check_imports(name: str, source: str) -> None:
    """The hosts have the standard library only."""
    import sys

    for node in ast.walk(ast.parse(source, feature_version=(3, 8))):
        modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for module in modules:
            top = module.split(".")[0]
            ours = module.startswith(("sltfleet.wire", "sltfleet.runner"))
            # The queue's client is taken along only where there is a queue, and imported only there.
            is_client = top == "redis" and name.startswith("sltfleet/runner/queue_")
            assert top in sys.stdlib_module_names or ours or is_client, (name, module)
