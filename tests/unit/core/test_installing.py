"""What setup would type: only what is missing, only where it may, and never twice."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from sltfleet.core.facts import HostFacts, Program, Python
from sltfleet.core.installing import (
    LISTS_LOCKED,
    Plan,
    RustSources,
    missing_needs,
    parse_sources,
    plan_packages,
    plan_rust,
)
from tests.support.host_facts import recorded_facts

GOOD = recorded_facts("debian_with_rust")
BARE = recorded_facts("bare_debian")
ALPINE = recorded_facts("busybox")

POLICY = """\
cargo:
  Installed: (none)
  Candidate: 0.66.0+ds1-1
  Version table:
     0.66.0+ds1-1 500
        500 http://mirror.example/debian bookworm/main amd64 Packages
rustc:
  Installed: (none)
  Candidate: 1.63.0+dfsg1-2
cargo-web:
  Installed: (none)
  Candidate: 1.85.0+dfsg3-1~deb12u3
rustc-web:
  Installed: (none)
  Candidate: 1.85.0+dfsg3-1~deb12u3
"""


def words(plan: Plan) -> list[str]:
    return [str(command) for command in plan.commands]


def without(facts: HostFacts, *names: str) -> HostFacts:
    return replace(facts, programs={name: path for name, path in facts.programs.items() if name not in names})


def test_a_host_that_lacks_nothing_gets_an_empty_plan() -> None:
    assert plan_packages(GOOD) == plan_rust(GOOD, RustSources(rustup=True)) == Plan()


def test_root_on_a_bare_debian_gets_the_lists_and_then_every_package() -> None:
    prefix = "env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120"
    assert words(plan_packages(BARE)) == [
        f"{prefix} update",
        f"{prefix} install -y --no-install-recommends rsync python3 gcc libc6-dev curl ca-certificates make pkg-config",
    ]


def test_a_host_that_compiles_no_rust_gets_nothing_that_only_rust_needs() -> None:
    assert words(plan_packages(BARE, cargo=False))[1].endswith("--no-install-recommends rsync python3")
    assert plan_packages(replace(GOOD, cargos=(), rustup=None), cargo=False) == Plan()


def test_a_user_with_sudo_gets_the_same_by_a_sudo_that_never_asks() -> None:
    facts = without(replace(GOOD, can_sudo=True), "rsync")
    assert [line.partition(" env ")[0] for line in words(plan_packages(facts))] == ["sudo -n", "sudo -n"]
    assert words(plan_packages(facts))[1].endswith("--no-install-recommends rsync")


def test_a_user_who_may_not_install_gets_the_command_for_an_administrator() -> None:
    plan = plan_packages(without(GOOD, "rsync"))
    assert plan.commands == ()
    assert plan.blocked
    assert [str(command) for command in plan.by_hand] == ["apt-get install -y --no-install-recommends rsync"]
    assert "alice is not root" in plan.why


def test_what_is_only_useful_blocks_nobody() -> None:
    plan = plan_packages(without(GOOD, "make", "pkg-config"))
    assert plan.by_hand
    assert not plan.blocked


def test_curl_is_essential_where_rust_is_still_to_come() -> None:
    assert not plan_packages(without(GOOD, "curl")).blocked
    assert plan_packages(replace(without(GOOD, "curl"), cargos=(), rustup=None)).blocked


@pytest.mark.parametrize(
    ("manager", "command"),
    [("apk", "apk add rsync"), ("dnf", "dnf install -y rsync"), ("pacman", "pacman -S --needed --noconfirm rsync")],
)
def test_other_package_managers_are_named_and_not_run(manager: str, command: str) -> None:
    facts = replace(without(GOOD, "rsync", "apt-get"), is_root=True)
    plan = plan_packages(replace(facts, programs={**facts.programs, manager: Program(f"/sbin/{manager}")}))
    assert (plan.commands, [str(found) for found in plan.by_hand], plan.blocked) == ((), [command], True)


def test_a_host_without_any_package_manager_is_told_what_is_missing() -> None:
    plan = plan_packages(without(GOOD, "rsync", "apt-get"))
    assert (plan.by_hand, plan.blocked) == ((), True)
    assert "rsync" in plan.why


def test_a_python_that_is_too_old_is_not_reinstalled_again_and_again() -> None:
    old = replace(GOOD, pythons=(Python("/usr/bin/python3", (3, 6, 9)),))
    stripped = replace(GOOD, pythons=(Python("/usr/bin/python3", (3, 11, 2), ("ctypes",)),))
    assert "python" not in missing_needs(old)
    assert "python" in missing_needs(stripped)


def test_the_lists_are_refreshed_for_rust_alone_as_well() -> None:
    facts = replace(GOOD, is_root=True, cargos=(), rustup=None)
    assert [command.argv[-1] for command in plan_packages(facts).commands] == ["update"]


def test_the_question_for_rusts_sources_is_read_with_and_without_curl() -> None:
    assert parse_sources("rustup yes\n" + POLICY).rustup is True
    assert parse_sources("rustup no\n" + POLICY).rustup is False
    assert parse_sources(POLICY) == RustSources(None, "1.63.0+dfsg1-2", "1.85.0+dfsg3-1~deb12u3")
    assert parse_sources("") == RustSources()


def test_a_compiler_without_its_cargo_is_no_source() -> None:
    assert parse_sources(POLICY.replace("cargo-web:", "other:")).rustc_web == ""
    assert parse_sources(POLICY.replace("0.66.0+ds1-1\n", "(none)\n")).rustc == ""


def test_rustup_comes_first_where_it_can_be_reached() -> None:
    facts = replace(BARE, programs={**BARE.programs, "curl": Program("/usr/bin/curl")})
    plan = plan_rust(facts, RustSources(True, "1.63.0", "1.85.0"))
    assert "sh -s -- -y --profile minimal --no-modify-path" in words(plan)[0]


def test_a_rustup_that_is_there_only_gets_a_toolchain() -> None:
    shim = replace(GOOD, cargos=(replace(GOOD.cargos[0], works=False),))
    assert words(plan_rust(shim, RustSources(True))) == ["/home/alice/.cargo/bin/rustup default stable"]


@pytest.mark.parametrize(
    ("rustc", "rustc_web", "packages", "version"),
    [
        ("1.63.0+dfsg1-2", "1.85.0+dfsg3-1~deb12u3", "cargo-web rustc-web", "1.85.0"),
        ("1.85.0+dfsg3-1", "1.85.0+dfsg3-1~deb12u3", "cargo rustc", "1.85.0"),
        ("1:1.100.0-1", "1.85.0-1", "cargo rustc", "1.100.0"),
        ("", "1.85.0-1", "cargo-web rustc-web", "1.85.0"),
        ("1.²", "1.85.0-1", "cargo-web rustc-web", "1.85.0"),
    ],
)
def test_without_rustup_the_newer_of_debians_two_cargos_is_taken(
    rustc: str, rustc_web: str, packages: str, version: str
) -> None:
    (command,) = plan_rust(BARE, RustSources(False, rustc, rustc_web)).commands
    assert str(command).endswith(f"install -y --no-install-recommends {packages}")
    assert f"Rust {version} " in command.title


def test_without_rustup_and_without_a_package_rust_is_left_to_a_person() -> None:
    plan = plan_rust(ALPINE, RustSources(False))
    assert (plan.commands, plan.blocked) == ((), True)
    assert plan.by_hand


def test_rust_by_apt_needs_the_right_to_install() -> None:
    plan = plan_rust(replace(GOOD, cargos=(), rustup=None), RustSources(False, "1.63.0"))
    assert (plan.commands, plan.blocked) == ((), True)


def test_apts_word_for_held_lists_is_known_and_not_confused_with_another_failure() -> None:
    assert LISTS_LOCKED.search(
        "Reading package lists...\nE: Could not get lock /var/lib/apt/lists/lock. It is held by …"
    )
    assert not LISTS_LOCKED.search("E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 7")


@pytest.mark.parametrize(
    ("curl", "exit_code"), [("exit 22", 22), ('echo "exit 3" >"$8"', 3), ('echo "exit 0" >"$8"', 0)]
)
def test_rustups_installer_fails_where_the_download_or_the_installer_fails(
    odd_path: Path, curl: str, exit_code: int
) -> None:
    (odd_path / "curl").write_text(f"#!/bin/sh\n{curl}\n")
    (odd_path / "curl").chmod(0o755)
    (command,) = plan_rust(BARE, RustSources(True)).commands
    path = f"{odd_path}:/usr/bin:/bin"
    environ = {"PATH": path, "TMPDIR": str(odd_path), "HOME": str(odd_path)}
    assert subprocess.run(command.argv, env=environ, check=False, timeout=120).returncode == exit_code
    assert [entry.name for entry in odd_path.iterdir()] == ["curl"]
