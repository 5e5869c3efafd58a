"""cargo's arguments and messages; the messages are real ones."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest

from sltfleet.core.cargo import CargoBuild, CargoReader, binary_id, cargo_arguments, package_name
from sltfleet.core.errors import BuildError
from tests.support.cases import load_cases


@pytest.mark.parametrize("case", load_cases("cargo/messages"))
def test_the_executable_is_the_one_that_cargo_names(case: dict[str, Any]) -> None:
    reader = CargoReader(case["test"])
    crates = [crate for line in case["stdout"].splitlines() if (crate := reader.feed(line))]
    assert crates == case["crates"]
    assert reader.done == len(crates)
    assert asdict(reader.artifact()) == case["artifact"]


@pytest.mark.parametrize("case", load_cases("cargo/messages"))
def test_another_targets_executable_is_not_taken(case: dict[str, Any]) -> None:
    reader = CargoReader("other")
    for line in case["stdout"].splitlines():
        reader.feed(line)
    with pytest.raises(BuildError, match="no executable"):
        reader.artifact()


@pytest.mark.parametrize(
    "line", ["", "{", "[]", "{}", '{"reason": "compiler-artifact"}', "{" * 100_000, "printed by build.rs"]
)
def test_lines_that_are_no_messages_are_passed_over(line: str) -> None:
    reader = CargoReader("it")
    reader.feed(line)
    assert not reader.artifacts


def test_every_setting_becomes_one_word() -> None:
    build = CargoBuild(
        test="-odd",
        package="p",
        profile="release",
        features=("a", "b/c"),
        default_features=False,
        target="t",
        locked=True,
        jobs=3,
        toolchain="nightly",
    )
    assert cargo_arguments(build) == [
        *("+nightly", "test", "--no-run", "--message-format=json-render-diagnostics", "--test=-odd", "--package=p"),
        *("--profile=release", "--features=a,b/c", "--no-default-features", "--target=t", "--locked", "--jobs=3"),
    ]


def test_the_manifests_folder_stays_in_the_repo() -> None:
    assert CargoBuild("t").folder == "."
    assert CargoBuild("t", manifest="a/b/Cargo.toml").folder == "a/b"
    for manifest in ("/etc/Cargo.toml", "../Cargo.toml", "a/../../Cargo.toml", "a/b"):
        with pytest.raises(BuildError):
            _ = CargoBuild("t", manifest=manifest).folder


@pytest.mark.parametrize(
    ("package_id", "name"),
    [
        ("path+file:///home/u/p/repo#tiny@0.1.0", "tiny"),
        ("path+file:///home/u/p/tiny#0.1.0", "tiny"),
        ("registry+https://example.org/index#serde_json@1.0.1", "serde_json"),
        ("git+https://example.org/x/tiny?branch=main#0.1.0", "tiny"),
    ],
)
def test_a_package_id_names_its_package(package_id: str, name: str) -> None:
    assert package_name(package_id) == name


@pytest.mark.parametrize(
    ("kind", "target", "found"),
    [
        ("lib", "p_q", "p-q"),
        ("proc-macro", "p_q", "p-q"),
        ("test", "it", "p-q::it"),
        ("bin", "tool", "p-q::bin/tool"),
        ("example", "demo", "p-q::example/demo"),
    ],
)
def test_an_executable_has_the_id_that_nextest_gives_it(kind: str, target: str, found: str) -> None:
    assert binary_id("p-q", kind, target) == found


def test_all_test_executables_are_found_once_and_programs_are_not_tests() -> None:
    [case] = load_cases("cargo/workspace")
    reader = CargoReader(None)
    for line in [*case["stdout"], *case["stdout"]]:
        reader.feed(json.dumps(line))
    assert [asdict(artifact) for artifact in reader.all_artifacts()] == case["artifacts"]


def test_libtest_targets_are_asked_for_by_kind_or_by_name() -> None:
    build = CargoBuild(tests=("a", "b"), lib=True, bins=True, workspace=True)
    assert cargo_arguments(build)[3:] == ["--test=a", "--test=b", "--lib", "--bins", "--workspace"]
    with pytest.raises(BuildError, match="no test executable"):
        CargoReader(None).all_artifacts()
