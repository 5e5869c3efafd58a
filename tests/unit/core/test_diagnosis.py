"""Doctor's judgement: what is fine, what is not, and that everything that is not has a fix."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sltfleet.core.controller import diagnose_controller, parse_versions
from sltfleet.core.diagnosis import HostDiagnosis, diagnose, diagnose_unreachable, estimate_skew
from sltfleet.core.errors import CommandTimeout, ConnectError, FleetError, HostKeyError, LoginError
from sltfleet.core.facts import Compiler, Cores, HostFacts, Limits, Logout, Memory, Program, ProjectFolder, Python
from sltfleet.core.findings import Finding, Level, Needs, Skew
from tests.support.host_facts import recorded_facts

GOOD = recorded_facts("debian_with_rust")
MIB = 1024 * 1024


def find(facts: HostFacts, check: str, needs: Needs | None = None, skew: Skew | None = None) -> Finding:
    diagnosis = diagnose("big one", facts, needs or Needs(), skew)
    return next(finding for finding in diagnosis.findings if finding.check == check)


def test_a_host_that_lacks_nothing_is_fine_in_every_check() -> None:
    diagnosis = diagnose("h", GOOD, Needs(workers=2), Skew(0.1, 0.01))
    assert {finding.level for finding in diagnosis.findings} == {Level.OK}
    assert diagnosis.level is Level.OK


@pytest.mark.parametrize("case", ["bare_debian", "busybox", "systemd_limits", "hostile"])
def test_whatever_is_not_fine_has_a_fix(case: str) -> None:
    diagnosis = diagnose("h", recorded_facts(case), Needs(workers=4096, toolchains=("nightly",)), Skew(1e6, 0.1))
    assert diagnosis.level is Level.ERROR
    for finding in diagnosis.findings:
        assert finding.text
        assert bool(finding.fix) == (finding.level > Level.OK)


def test_a_bare_host_is_told_what_to_install_by_its_own_package_manager() -> None:
    debian, alpine = recorded_facts("bare_debian"), recorded_facts("busybox")
    assert find(debian, "rsync").level is Level.ERROR
    assert "sltfleet setup --host 'big one'" in find(debian, "rsync").fix
    assert "apt-get install -y --no-install-recommends rsync" in find(debian, "rsync").fix
    assert "apk add gcc musl-dev" in find(alpine, "linker").fix
    assert find(debian, "cargo").level is find(debian, "linker").level is find(debian, "python3").level is Level.ERROR
    assert find(debian, "pkg-config").level is Level.NOTE


@pytest.mark.parametrize(
    ("version", "level"),
    [
        ("rsync  version 3.2.7  protocol version 31", Level.OK),
        ("rsync  version 3.1.0  protocol version 31", Level.OK),
        ("rsync  version 3.0.9  protocol version 30", Level.ERROR),
        ("openrsync: protocol version 29", Level.OK),
    ],
)
def test_an_rsync_that_is_too_old_is_an_error(version: str, level: Level) -> None:
    facts = replace(GOOD, programs={**GOOD.programs, "rsync": Program("/usr/bin/rsync", version)})
    assert find(facts, "rsync").level is level


def test_a_run_with_a_queue_needs_a_newer_python_which_may_stand_beside_the_system_s() -> None:
    own, newer = Python("/usr/bin/python3", (3, 9, 2)), Python("/usr/bin/python3.12", (3, 12, 1))
    queue = Needs(queue=True)
    assert find(replace(GOOD, pythons=(own,)), "python3").level is Level.OK
    old = find(replace(GOOD, pythons=(own,)), "python3", queue)
    assert (old.level, "3.9.2" in old.text, "3.10" in old.text) == (Level.ERROR, True, True)
    assert "SLTFLEET_QUEUE= sltfleet run" in old.fix
    assert find(replace(GOOD, pythons=(own, newer)), "python3", queue).text == "3.12.1 (/usr/bin/python3.12)"


def test_python_must_be_new_enough_and_whole() -> None:
    old, stripped = Python("/usr/bin/python3", (3, 7, 9)), Python("/usr/bin/python3", (3, 11, 2), ("ctypes",))
    good = Python("/usr/local/bin/python3", (3, 8, 0))
    assert find(replace(GOOD, pythons=(old,)), "python3").level is Level.ERROR
    assert find(replace(GOOD, pythons=(old, good)), "python3").level is Level.OK
    assert "ctypes" in find(replace(GOOD, pythons=(stripped,)), "python3").text


def test_a_rustup_shim_without_a_toolchain_is_told_from_a_missing_cargo() -> None:
    limits = recorded_facts("systemd_limits")
    shim = replace(limits, cargos=limits.cargos[:1])
    assert find(shim, "cargo").level is Level.ERROR
    assert find(shim, "cargo").fix == "there: /home/alice/.cargo/bin/rustup default stable"
    assert find(replace(GOOD, cargos=()), "cargo").text == "cargo is missing"


def test_an_old_cargo_is_a_note_that_says_its_version() -> None:
    finding = find(recorded_facts("systemd_limits"), "cargo")
    assert (finding.level, "cargo 1.75.0" in finding.text) == (Level.NOTE, True)


def test_a_toolchain_by_name_needs_rustup() -> None:
    assert find(replace(GOOD, rustup=None), "cargo", Needs(toolchains=("nightly",))).level is Level.ERROR
    assert find(GOOD, "cargo", Needs(toolchains=("nightly",))).level is Level.OK


def test_a_host_that_compiles_no_rust_is_not_asked_for_cargo_and_a_linker() -> None:
    diagnosis = diagnose("h", recorded_facts("bare_debian"), Needs(cargo=False), None)
    checks = {finding.check for finding in diagnosis.findings}
    assert not checks & {"cargo", "linker", "pkg-config"}
    assert {"rsync", "python3"} <= checks


def test_rustc_wants_a_linker_named_cc() -> None:
    clang = Compiler("clang", "/usr/bin/clang", links=True)
    broken = Compiler("cc", "/usr/bin/cc", links=False, says="cannot find crt1.o")
    assert find(replace(GOOD, compilers=(broken, clang)), "linker").level is Level.WARNING
    assert "crt1.o" in find(replace(GOOD, compilers=(broken,)), "linker").text


@pytest.mark.parametrize(
    ("free_bytes", "free_inodes", "level"),
    [
        (2048 * MIB, None, Level.OK),
        (2048 * MIB - 1, None, Level.WARNING),
        (200 * MIB, 1_000_000, Level.WARNING),
        (200 * MIB - 1, 1_000_000, Level.ERROR),
        (2048 * MIB, 49_999, Level.WARNING),
        (2048 * MIB, 4_999, Level.ERROR),
    ],
)
def test_a_disk_that_runs_full_is_noticed_by_bytes_and_by_inodes(
    free_bytes: int, free_inodes: int | None, level: Level
) -> None:
    filesystem = replace(GOOD.filesystem, free_bytes=free_bytes, free_inodes=free_inodes)
    assert find(replace(GOOD, filesystem=filesystem), "disk").level is level


@pytest.mark.parametrize("option", ["noexec", "ro"])
def test_a_mount_on_which_nothing_can_start_or_be_written_is_an_error(option: str) -> None:
    filesystem = replace(GOOD.filesystem, options=("rw", option))
    assert find(replace(GOOD, filesystem=filesystem), "folder").level is Level.ERROR


@pytest.mark.parametrize(
    ("folder", "level"),
    [
        (ProjectFolder("marked", "/p", True, "demo"), Level.OK),
        (ProjectFolder("absent", "/", True), Level.OK),
        (ProjectFolder("absent", "/", False), Level.ERROR),
        (ProjectFolder("foreign", "/p", True, "x"), Level.ERROR),
        (ProjectFolder("other", "/p", True), Level.ERROR),
        (ProjectFolder("unmarked", "/p", True), Level.WARNING),
        (ProjectFolder("link", "/p", True), Level.WARNING),
    ],
)
def test_the_projects_folder_must_be_ours_and_writable(folder: ProjectFolder, level: Level) -> None:
    assert find(replace(GOOD, project=folder), "folder").level is level


def test_more_than_four_workers_per_core_are_a_note() -> None:
    assert find(GOOD, "cores", Needs(workers=8)).level is Level.OK
    assert find(GOOD, "cores", Needs(workers=9)).level is Level.NOTE


def test_a_cgroups_quota_counts_and_is_named() -> None:
    finding = find(replace(GOOD, cores=Cores(64, 64, 2.5)), "cores")
    assert "2.5 of 64" in finding.text
    assert "quota" in finding.text


def test_others_on_the_host_are_a_note() -> None:
    assert "others" in find(replace(GOOD, load=(9.0, 1.0, 1.0)), "cores").text


def test_the_smaller_of_available_memory_and_the_cgroups_limit_counts() -> None:
    tight = Memory(64 * 1024 * MIB, 32 * 1024 * MIB, 512 * MIB)
    assert find(replace(GOOD, memory=tight), "memory").level is Level.WARNING
    assert find(replace(GOOD, memory=replace(tight, limit_bytes=None)), "memory").level is Level.OK


@pytest.mark.parametrize(
    ("limits", "is_root", "level"),
    [
        (Limits(processes=192), False, Level.OK),
        (Limits(processes=191), False, Level.WARNING),
        (Limits(processes=191), True, Level.OK),
        (Limits(tasks=191), True, Level.WARNING),
        (Limits(pid_max=191), True, Level.WARNING),
        (Limits(open_files=256), True, Level.WARNING),
        (Limits(), False, Level.OK),
    ],
)
def test_three_processes_per_worker_must_fit_into_the_limits(limits: Limits, is_root: bool, level: Level) -> None:
    facts = replace(GOOD, limits=limits, is_root=is_root)
    assert find(facts, "processes", Needs(workers=64)).level is level


@pytest.mark.parametrize(
    ("offset_s", "uncertainty_s", "level"),
    [(60.0, 0.0, Level.OK), (-61.0, 0.5, Level.WARNING), (61.0, 5.0, Level.OK), (1e9, 5.0, Level.WARNING)],
)
def test_a_clock_that_is_off_by_a_minute_beyond_doubt_is_a_warning(
    offset_s: float, uncertainty_s: float, level: Level
) -> None:
    assert find(GOOD, "clock", skew=Skew(offset_s, uncertainty_s)).level is level


def test_half_the_round_trip_is_the_clocks_uncertainty() -> None:
    assert estimate_skew(1010.0, 1000.0, 1004.0) == Skew(8.0, 2.0)
    assert estimate_skew(1000.0, 1000.0, 999.0) == Skew(0.0, 0.0)
    assert estimate_skew(None, 1000.0, 1001.0) is None


def test_a_logind_that_kills_at_logout_is_a_warning_even_with_linger() -> None:
    for linger in (False, True):
        finding = find(replace(GOOD, logout=Logout(kills=True, linger=linger)), "logout")
        assert finding.level is Level.WARNING
        assert "KillExcludeUsers=root alice" in finding.fix
        assert ("enable-linger alice" in finding.fix) is not linger


def test_a_noisy_shell_is_a_note() -> None:
    assert find(replace(GOOD, noise="Welcome!\n"), "shell").level is Level.NOTE


def test_a_host_that_is_no_linux_is_spared_the_other_checks() -> None:
    diagnosis = diagnose("mac", replace(GOOD, system="Darwin"), Needs(), None)
    assert [finding.check for finding in diagnosis.findings] == ["system"]
    assert diagnosis.level is Level.ERROR


@pytest.mark.parametrize(
    ("error", "check"),
    [
        (ConnectError("cannot connect", "refused", "start sshd"), "reachable"),
        (HostKeyError("unknown key", fix="ssh-keyscan"), "host key"),
        (LoginError("no key"), "login"),
        (CommandTimeout("too slow"), "probe"),
    ],
)
def test_a_host_that_cannot_be_asked_has_its_error_as_a_finding(error: FleetError, check: str) -> None:
    diagnosis = diagnose_unreachable("down", error)
    assert diagnosis.level is Level.ERROR
    assert (diagnosis.findings[0].check, diagnosis.findings[0].fix) == (check, error.fix)


def test_the_json_has_the_documented_keys() -> None:
    raw = HostDiagnosis("h", (Finding(Level.NOTE, "shell", "text", "fix"),)).to_json()
    assert raw == {
        "host": "h",
        "level": "note",
        "findings": [{"level": "note", "check": "shell", "text": "text", "fix": "fix"}],
        "skew": None,
        "queue_round_trip_s": None,
        "facts": None,
    }


def test_the_controller_needs_rsync_and_for_ssh_hosts_ssh() -> None:
    versions = parse_versions("rsync\trsync  version 3.2.7\nssh\tOpenSSH_9.2p1\n")
    findings = diagnose_controller(versions, uses_ssh=True)
    assert [(finding.check, finding.level) for finding in findings] == [
        ("rsync", Level.OK),
        ("ssh", Level.OK),
        ("git", Level.NOTE),
    ]
    assert [finding.level for finding in diagnose_controller({}, uses_ssh=False)] == [Level.ERROR, Level.NOTE]
    assert diagnose_controller({}, uses_ssh=True)[1].level is Level.ERROR
