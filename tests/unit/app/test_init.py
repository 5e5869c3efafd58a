from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sltfleet.app import init
from sltfleet.app.init import CargoOutput, InitResult, init_fleet
from sltfleet.config.load import load_config
from sltfleet.config.model import FleetConfig
from sltfleet.config.units import FilesConfig, LibtestConfig
from sltfleet.config.verdicts import JsonConfig
from sltfleet.core.errors import RefusedError, UsageError

CASES = Path(__file__).parents[2] / "cases" / "cargo_metadata"
WITH_TESTS = ("single_package", "workspace", "not_a_member", "odd_names")


def cargo_says(output: str, exit_code: int = 0, stderr: str = "") -> Callable[[tuple[str, ...], Path], CargoOutput]:
    """Return a cargo that prints `output`."""
    return lambda argv, directory: CargoOutput(exit_code, output, stderr)


def metadata(workspace: Path, **tests: list[str]) -> str:
    """Return cargo's words for a workspace with the given packages and their tests."""
    packages = [
        {
            "name": name,
            "id": name,
            "manifest_path": str(workspace / name / "Cargo.toml"),
            "targets": [
                {"kind": ["test"], "name": test, "src_path": str(workspace / name / "tests" / f"{test}.rs")}
                for test in names
            ],
        }
        for name, names in tests.items()
    ]
    return json.dumps({"packages": packages, "workspace_members": list(tests), "workspace_root": str(workspace)})


def write(path: Path, text: str = "") -> None:
    """Write a file and the folders that it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def loaded(result: InitResult) -> FleetConfig:
    """Return what `load_config` makes of the file."""
    return load_config(result.path, ssh_config=None, environ={}, cwd=result.path.parent).config


@pytest.mark.parametrize("name", WITH_TESTS)
def test_the_file_passes_the_loader_for_what_cargo_says(name: str, odd_path: Path) -> None:
    case: dict[str, Any] = json.loads((CASES / f"{name}.json").read_text(encoding="utf-8"))
    # The case's folder is here, so that `repo` is one that exists.
    text = json.dumps(case["output"]).replace(
        json.dumps(case["output"]["workspace_root"])[1:-1], json.dumps(str(odd_path))[1:-1]
    )
    write(odd_path / "Cargo.toml")
    result = init_fleet(odd_path, force=False, run_cargo=cargo_says(text))
    config = loaded(result)
    expected = [(package["name"], test["name"]) for package in case["value"]["packages"] for test in package["tests"]]
    assert sorted(suite.build.test or "" for suite in config.suites.values()) == sorted(test for _, test in expected)
    assert result.path.read_text(encoding="utf-8") == result.text
    assert config.hosts["localhost"].transport == "local"
    for suite in config.suites.values():
        assert suite.build.package is None or (suite.build.package, suite.build.test) in expected


def test_a_sqllogictest_target_with_a_corpus_gets_units_environment_and_verdict(odd_path: Path) -> None:
    write(odd_path / "Cargo.toml")
    write(odd_path / "db" / "tests" / "sqllogictest_suite.rs", "mod suite;\nfn main() {}\n")
    write(
        odd_path / "db" / "tests" / "suite" / "deep" / "env.rs",
        'var("SQLLOGICTEST_FILES"); var("SQLLOGICTEST_WORKER_ID");',
    )
    write(odd_path / "db" / "tests" / "suite" / "mod.rs", 'format!("target/sqllogictest_results_worker_{id}.json")')
    for number in range(3):
        write(odd_path / "third party" / "slt" / f"{number}.test")
    for hidden in (".git", "target", "node_modules"):
        write(odd_path / hidden / "x.slt")
    result = init_fleet(
        odd_path, force=False, run_cargo=cargo_says(metadata(odd_path, db=["api", "sqllogictest_suite"]))
    )
    config = loaded(result)
    assert list(config.suites) == ["sqllogictest_suite", "api"]
    suite = config.suites["sqllogictest_suite"]
    assert suite.units == FilesConfig(kind="files", root="third party/slt", include=("**/*.test",))
    assert suite.env == {"SQLLOGICTEST_FILES": "{unit}", "SQLLOGICTEST_WORKER_ID": "{worker}"}
    assert isinstance(suite.verdict, JsonConfig)
    assert config.suites["api"].units == LibtestConfig(kind="libtest")
    assert "found 3 files *.test below third party/slt" in result.notes


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib came with Python 3.11")
def test_a_target_with_a_main_of_its_own_is_known_from_the_manifest(odd_path: Path) -> None:
    write(odd_path / "Cargo.toml")
    write(odd_path / "db" / "Cargo.toml", '[[test]]\nname = "runner"\nharness = false\n')
    write(odd_path / "corpus" / "a.slt")
    config = loaded(init_fleet(odd_path, force=False, run_cargo=cargo_says(metadata(odd_path, db=["api", "runner"]))))
    assert isinstance(config.suites["runner"].units, FilesConfig)
    assert isinstance(config.suites["api"].units, LibtestConfig)


def test_in_a_package_of_a_workspace_the_whole_workspace_is_the_repo(odd_path: Path) -> None:
    write(odd_path / "engine" / "Cargo.toml")
    result = init_fleet(
        odd_path / "engine", force=False, run_cargo=cargo_says(metadata(odd_path, engine=["t"], other=["u"]))
    )
    assert loaded(result).repo == ".."
    assert loaded(result).suites["u"].build.package == "other"


def test_of_many_targets_some_become_suites_and_the_others_are_named(odd_path: Path) -> None:
    write(odd_path / "Cargo.toml")
    names = [f"t{number:02d}" for number in range(init.MAX_SUITES + 2)]
    result = init_fleet(odd_path, force=False, run_cargo=cargo_says(metadata(odd_path, p=names)))
    assert len(loaded(result).suites) == init.MAX_SUITES
    assert "no suite was written for p/t10, p/t11" in result.notes


def test_a_file_that_is_there_is_never_overwritten_without_force(odd_path: Path) -> None:
    write(odd_path / "Cargo.toml")
    write(odd_path / "fleet.yaml", "precious")
    cargo = cargo_says(metadata(odd_path, p=["t"]))
    with pytest.raises(RefusedError, match="is there already"):
        init_fleet(odd_path, force=False, run_cargo=cargo)
    assert (odd_path / "fleet.yaml").read_text(encoding="utf-8") == "precious"
    assert "precious" not in init_fleet(odd_path, force=True, run_cargo=cargo).text


def test_without_a_cargo_project_the_error_says_where_to_go(odd_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        init_fleet(odd_path, force=False, run_cargo=cargo_says("{}"))
    assert "there is no Cargo.toml" in caught.value.what
    assert "sltfleet init" in caught.value.fix


@pytest.mark.parametrize(
    ("cargo", "what", "detail"),
    [
        (
            cargo_says("", 101, "error: failed to parse manifest\n"),
            "cargo cannot read",
            "error: failed to parse manifest",
        ),
        (cargo_says("hello"), "cannot understand cargo", ""),
        (cargo_says(metadata(Path("/p"), lib=[])), "no package in /p has a test target", ""),
    ],
)
def test_what_cargo_cannot_tell_is_an_error_and_no_file_is_written(
    cargo: init.RunCargo, what: str, detail: str, odd_path: Path
) -> None:
    write(odd_path / "Cargo.toml")
    with pytest.raises(UsageError, match=what) as caught:
        init_fleet(odd_path, force=False, run_cargo=cargo)
    assert caught.value.detail == detail
    assert not (odd_path / "fleet.yaml").exists()


def test_a_folder_that_cannot_be_written_is_an_error_of_ours(odd_path: Path) -> None:
    write(odd_path / "Cargo.toml")
    (odd_path / "fleet.yaml").mkdir()
    with pytest.raises(UsageError, match="cannot write"):
        init_fleet(odd_path, force=True, run_cargo=cargo_says(metadata(odd_path, p=["t"])))


def test_a_machine_without_cargo_is_told_how_to_get_it(odd_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(odd_path))
    with pytest.raises(UsageError) as caught:
        init.run_cargo(("cargo", "metadata"), odd_path)
    assert caught.value.fix == "install Rust: https://rustup.rs"


@pytest.mark.skipif(shutil.which("cargo") is None, reason="cargo is not installed")
def test_real_cargo_and_a_real_workspace_make_a_file_that_loads(odd_path: Path) -> None:
    write(odd_path / "Cargo.toml", '[workspace]\nmembers = ["engine", "slt"]\nresolver = "2"\n')
    for name, tail in (("engine", ""), ("slt", '[[test]]\nname = "slt_runner"\nharness = false\n')):
        write(
            odd_path / name / "Cargo.toml", f'[package]\nname = "{name}"\nversion = "0.1.0"\nedition = "2021"\n{tail}'
        )
        write(odd_path / name / "src" / "lib.rs")
    write(odd_path / "engine" / "tests" / "api.rs")
    write(odd_path / "slt" / "tests" / "slt_runner.rs", "fn main() {}\n")
    write(odd_path / "slt" / "cases" / "a.slt")
    config = loaded(init_fleet(odd_path, force=False, run_cargo=init.run_cargo))
    assert list(config.suites) == ["slt_runner", "api"]
    assert config.suites["slt_runner"].units == FilesConfig(kind="files", root="slt/cases", include=("**/*.slt",))
    assert config.suites["slt_runner"].build.package == "slt"


@pytest.mark.skipif(shutil.which("cargo") is None, reason="cargo is not installed")
def test_what_real_cargo_complains_of_is_shown(odd_path: Path) -> None:
    write(odd_path / "Cargo.toml", "[package]\nname = 3\n")
    with pytest.raises(UsageError) as caught:
        init_fleet(odd_path, force=False, run_cargo=init.run_cargo)
    assert "name" in caught.value.detail
