"""`build` with a real cargo: what is built, when it is built again, and what a person is told where it cannot be."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sltfleet.app.build import build
from sltfleet.app.fleet import Fleet, HostResults
from sltfleet.app.progress import BuildProgress, silent
from sltfleet.app.sync import sync
from sltfleet.core.building import BuiltSuite
from sltfleet.core.cargo_failures import distinct_errors
from sltfleet.core.errors import BuildError, SyncError
from sltfleet.demo.loopback import LoopbackFleet, LoopbackHost
from tests.support.cargo import session_environment
from tests.support.crates import MANIFEST, make_crate, says
from tests.support.fleets import Recorder, local_hosts, opened
from tests.support.hosts import NOISE
from tests.support.waiting import pid_is_alive, wait_for

pytestmark = pytest.mark.cargo

HOUR_S = 3600.0


@pytest.fixture(scope="module")
def loopback(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackFleet]:
    folder = tmp_path_factory.mktemp("loopback")
    hosts = []
    for alias, noise in (("alpha", ""), ("noisy", NOISE)):
        (folder / alias).mkdir()
        hosts.append(
            LoopbackHost(alias, home=folder / alias, environment=session_environment(), login_noise=noise),
        )
    with LoopbackFleet(hosts, folder / "fleet") as running:
        yield running


def suites(**more: object) -> dict[str, dict[str, object]]:
    return {"tiny": {"build": {"test": "it", **more}, "units": {"kind": "partitions", "count": 2}}}


def built_by(fleet: Fleet, **options: bool) -> HostResults[BuiltSuite]:
    name, suite = fleet.suite()
    return build(fleet, name, suite, silent, **options)


def sync_and_build(fleet: Fleet, **options: bool) -> BuiltSuite:
    assert not sync(fleet, silent).errors
    results = built_by(fleet, **options)
    assert not results.errors, results.errors
    return next(iter(results.values.values()))


def what_it_says(built: BuiltSuite) -> str:
    done = subprocess.run([built.binary, "--nocapture"], capture_output=True, text=True, check=True)
    return done.stdout.partition("said ")[2].split("\n")[0]


def error_of(folder: Path, **more: object) -> BuildError:
    with opened(folder, local_hosts(folder, "one"), suites=suites(**more)) as fleet:
        assert not sync(fleet, silent).errors
        error = built_by(fleet).errors["one"]
    assert isinstance(error, BuildError)
    return error


def test_the_binary_is_the_one_that_cargo_names_and_lies_outside_the_repo(odd_path: Path) -> None:
    make_crate(odd_path / "repo" / "crates" / "t i")
    with opened(odd_path, local_hosts(odd_path, "one"), suites=suites(manifest="crates/t i/Cargo.toml")) as fleet:
        sync(fleet, silent)
        recorder = Recorder()
        name, suite = fleet.suite()
        results = build(fleet, name, suite, recorder)
    assert not results.errors, results.errors
    built = results.values["one"]
    assert what_it_says(built) == "one"
    assert built.digest == hashlib.sha256(Path(built.binary).read_bytes()).hexdigest()
    assert built.binary.startswith(f"{built.project_root}/target/")
    assert (built.package, built.package_dir) == ("tiny", "crates/t i")
    assert built.toolchain.startswith("rustc ")
    assert not built.cached
    assert not (Path(built.repo) / "crates" / "t i" / "target").exists()
    assert [event for event in recorder.events if isinstance(event, BuildProgress)] == [
        BuildProgress("one", "tiny", 1, 1)
    ]


def test_cargo_runs_again_only_when_something_changed(odd_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_crate(odd_path / "repo")
    hosts = local_hosts(odd_path, "one")
    with opened(odd_path, hosts, suites=suites()) as fleet:
        first = sync_and_build(fleet)
        again = sync_and_build(fleet)
        assert again.cached
        assert (again.binary, again.digest, again.package_dir) == (first.binary, first.digest, first.package_dir)
        assert not sync_and_build(fleet, force=True).cached
        (odd_path / "repo" / "src" / "lib.rs").write_text(says("two"))
        changed = sync_and_build(fleet)
        assert not changed.cached
        assert what_it_says(changed) == "two"
        # The executable there is not the one that was built.
        Path(changed.binary).write_bytes(b"damaged")
        os.utime(changed.binary, (1, 1))
    with opened(odd_path, hosts, suites=suites(env={"SOME_VARIABLE": 'it\'s "new"'})) as fleet:
        assert not sync_and_build(fleet).cached
    with opened(odd_path, hosts, suites=suites()) as fleet:
        assert not built_by(fleet).values["one"].cached
        assert built_by(fleet).values["one"].cached
        # Someone edits the file there: whatever it is, cargo shall look at it.
        (Path(changed.repo) / "src" / "lib.rs").write_text(says("by hand"))
        assert what_it_says(built_by(fleet).values["one"]) == "by hand"
        # And the next sync brings back what is here.
        assert what_it_says(sync_and_build(fleet)) == "two"


@pytest.mark.parametrize("shift_s", [-HOUR_S, -365 * 24 * HOUR_S, HOUR_S], ids=["hour-ago", "year-ago", "in-an-hour"])
def test_a_changed_file_is_compiled_whatever_its_time_says(shift_s: float, odd_path: Path) -> None:
    repo = make_crate(odd_path / "repo")
    with opened(odd_path, local_hosts(odd_path, "one"), suites=suites()) as fleet:
        assert what_it_says(sync_and_build(fleet)) == "one"
        source = repo / "src" / "lib.rs"
        # As long as before, and of a time that a checkout, a backup or another clock would give it.
        source.write_text(says("two"))
        os.utime(source, (time.time() + shift_s,) * 2)
        assert what_it_says(sync_and_build(fleet)) == "two"
        # A time of its own in the future must not make cargo compile for ever either.
        forced = sync_and_build(fleet, force=True)
        before = Path(forced.binary).stat().st_mtime_ns
        assert Path(sync_and_build(fleet, force=True).binary).stat().st_mtime_ns == before


def test_an_unchanged_file_with_a_new_time_is_not_compiled_again(odd_path: Path) -> None:
    repo = make_crate(odd_path / "repo")
    with opened(odd_path, local_hosts(odd_path, "one"), suites=suites()) as fleet:
        first = sync_and_build(fleet)
        before = Path(first.binary).stat().st_mtime_ns
        for path in repo.rglob("*.rs"):
            os.utime(path)
        assert sync_and_build(fleet).cached
        assert Path(sync_and_build(fleet, force=True).binary).stat().st_mtime_ns == before


def test_a_lock_file_that_cargo_made_there_is_kept_by_the_next_sync(odd_path: Path) -> None:
    (make_crate(odd_path / "repo") / "Cargo.lock").unlink()
    with opened(odd_path, local_hosts(odd_path, "one"), suites=suites()) as fleet:
        built = sync_and_build(fleet)
        assert (Path(built.repo) / "Cargo.lock").exists()
        assert sync_and_build(fleet).cached


def test_a_file_that_is_deleted_here_is_missed_by_the_compiler_there(odd_path: Path) -> None:
    repo = make_crate(odd_path / "repo")
    (repo / "src" / "part.rs").write_text("")
    (repo / "src" / "lib.rs").write_text("mod part;\n" + says("one"))
    with opened(odd_path, local_hosts(odd_path, "one"), suites=suites()) as fleet:
        sync_and_build(fleet)
        (repo / "src" / "part.rs").unlink()
        sync(fleet, silent)
        error = built_by(fleet).errors["one"]
    assert "part" in error.detail


def test_without_a_whole_sync_nothing_is_built(odd_path: Path) -> None:
    make_crate(odd_path / "repo")
    with opened(odd_path, local_hosts(odd_path, "one"), suites=suites()) as fleet:
        assert isinstance(built_by(fleet).errors["one"], SyncError)
        sync(fleet, silent)
        (odd_path / "root of one" / "sample" / "sync.incomplete").write_text("")
        error = built_by(fleet).errors["one"]
    assert isinstance(error, SyncError)
    assert "sltfleet sync" in error.fix


def test_a_compile_error_is_shown_as_rustc_rendered_it_once_for_all_hosts_that_have_it(odd_path: Path) -> None:
    repo = make_crate(odd_path / "repo")
    (repo / "src" / "lib.rs").write_text("pub fn unused() { let x = 1; }\npub fn said() -> &'static str { 1 }\n")
    hosts = local_hosts(odd_path, "one", "two", "other")
    hosts["other"]["env"] = {"RUSTC_WRAPPER": "no-such-wrapper"}
    with opened(odd_path, hosts, suites=suites()) as fleet:
        sync(fleet, silent)
        results = built_by(fleet)
    distinct = distinct_errors(results.errors)
    assert [entry.hosts for entry in distinct] == [("one", "two"), ("other",)]
    error = distinct[0].error
    assert isinstance(error, BuildError)
    assert error.what == "the suite does not compile"
    assert "error[E0308]: mismatched types\n --> src/lib.rs:2:33" in error.detail
    assert "unused variable" not in error.detail
    assert "Compiling" not in error.detail
    assert "no-such-wrapper" in distinct[1].error.what


def test_a_missing_wrapper_from_the_repos_cargo_config_is_named_and_the_fix_that_is_told_works(odd_path: Path) -> None:
    repo = make_crate(odd_path / "repo")
    (repo / ".cargo").mkdir()
    (repo / ".cargo" / "config.toml").write_text('[build]\nrustc-wrapper = "no-sccache-here"\n')
    error = error_of(odd_path)
    assert "no-sccache-here" in error.what
    assert 'RUSTC_WRAPPER: ""' in error.fix
    with opened(odd_path, local_hosts(odd_path, "one"), suites=suites(env={"RUSTC_WRAPPER": ""})) as fleet:
        sync_and_build(fleet)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"test": "itt"}, "test target 'itt'"),
        ({"package": "nope"}, "package 'nope'"),
        ({"profile": "nope"}, "profile 'nope'"),
        ({"features": ["nope"]}, "feature 'nope'"),
        (
            {"env": {"CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER": "nocc"}, "target": "x86_64-unknown-linux-gnu"},
            "linker",
        ),
        ({"toolchain": "no-such-toolchain-1.0"}, "toolchain"),
        ({"manifest": "elsewhere/Cargo.toml"}, "elsewhere/Cargo.toml"),
    ],
)
def test_a_wrong_setting_or_a_missing_tool_is_named_with_its_fix(
    more: dict[str, object], said: str, odd_path: Path
) -> None:
    make_crate(odd_path / "repo")
    error = error_of(odd_path, **more)
    assert said in error.what
    assert error.fix


def test_a_lock_file_that_would_change_is_an_error_with_locked(odd_path: Path) -> None:
    repo = make_crate(odd_path / "repo")
    (repo / "other" / "src").mkdir(parents=True)
    (repo / "other" / "src" / "lib.rs").write_text("")
    (repo / "other" / "Cargo.toml").write_text(MANIFEST.replace("tiny", "other"))
    with (repo / "Cargo.toml").open("a") as manifest:
        manifest.write('[dependencies]\nother = {path = "other"}\n')
    error = error_of(odd_path, locked=True)
    assert "Cargo.lock" in error.what


def test_a_workspace_with_two_such_targets_asks_for_the_package(odd_path: Path) -> None:
    repo = odd_path / "repo"
    for name in ("tiny", "tidy"):
        make_crate(repo / name)
        for path in (repo / name).rglob("*.*"):
            if path.is_file():
                path.write_text(path.read_text().replace("tiny", name))
    (repo / "Cargo.toml").write_text('[workspace]\nmembers = ["tiny", "tidy"]\nresolver = "2"\n')
    error = error_of(odd_path)
    assert "tidy" in error.why
    assert "build.package" in error.fix
    with opened(odd_path, local_hosts(odd_path, "one"), suites=suites(package="tiny")) as fleet:
        assert sync_and_build(fleet).package_dir == "tiny"


def test_a_rustup_shim_without_a_toolchain_is_no_cargo_and_the_next_one_is_taken(
    odd_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_crate(odd_path / "repo")
    home = odd_path / "home"
    shim = home / ".cargo" / "bin" / "cargo"
    shim.parent.mkdir(parents=True)
    shim.write_text("#!/bin/sh\necho 'error: rustup could not choose …: no default is configured.' >&2\nexit 1\n")
    shim.chmod(0o755)
    real = shutil.which("cargo")
    assert real
    monkeypatch.setenv("RUSTUP_HOME", os.environ.get("RUSTUP_HOME", str(Path.home() / ".rustup")))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("CARGO_HOME", raising=False)
    with opened(odd_path, local_hosts(odd_path, "one"), suites=suites()) as fleet:
        sync_and_build(fleet)
        usual = "/usr/local/cargo/bin/cargo", "/usr/bin/cargo", "/usr/local/bin/cargo"
        if not any(Path(path).exists() for path in usual):
            monkeypatch.setenv("PATH", "/usr/bin:/bin")
            error = built_by(fleet).errors["one"]
            assert "rustup default stable" in error.fix
            shim.unlink()
            error = built_by(fleet).errors["one"]
            assert "sltfleet setup" in error.fix


def test_a_build_that_takes_too_long_is_ended_with_all_that_it_started(odd_path: Path) -> None:
    repo = make_crate(odd_path / "repo")
    flag, pid_file = odd_path.parent / "flag", odd_path.parent / "pid"
    (repo / "build.rs").write_text(
        f'fn main() {{ println!("cargo:rerun-if-changed={flag}"); if std::path::Path::new(r"{flag}").exists() {{'
        f' std::fs::write(r"{pid_file}", std::process::id().to_string()).unwrap();'
        " std::thread::sleep(std::time::Duration::from_secs(1000)); } }\n"
    )
    with opened(odd_path, local_hosts(odd_path, "one"), suites=suites()) as fleet:
        sync_and_build(fleet)  # the compiler has all the time that it needs
    flag.touch()
    with opened(odd_path, local_hosts(odd_path, "one"), suites=suites(timeout="8s")) as fleet:
        error = built_by(fleet, force=True).errors["one"]
    assert isinstance(error, BuildError)
    assert "build.timeout" in error.fix
    assert_ends(int(pid_file.read_text()))


@pytest.mark.parametrize("kind", ["local", "alpha"])
def test_a_build_ends_when_the_controller_is_killed(kind: str, odd_path: Path, loopback: LoopbackFleet) -> None:
    repo = make_crate(odd_path / "repo")
    pid_file = odd_path.parent / "pid"
    (repo / "build.rs").write_text(
        f'fn main() {{ std::fs::write(r"{pid_file}", std::process::id().to_string()).unwrap();'
        " std::thread::sleep(std::time::Duration::from_secs(1000)); }\n"
    )
    hosts = local_hosts(odd_path, "local") if kind == "local" else {kind: {"root": str(odd_path / "root")}}
    with opened(odd_path, hosts, suites=suites(), ssh_config=loopback.ssh_config) as fleet:
        sync(fleet, silent)
        fleet_file = fleet.loaded.path
    program = """
import sys
from pathlib import Path
from sltfleet.app.build import build
from sltfleet.app.fleet import open_fleet
from sltfleet.app.progress import silent
from sltfleet.config.load import load_config
loaded = load_config(Path(sys.argv[1]), ssh_config=None, environ={}, cwd=Path.cwd())
with open_fleet(loaded, tuple(loaded.config.hosts)) as fleet:
    build(fleet, *fleet.suite(), silent)
"""
    controller = subprocess.Popen([sys.executable, "-c", program, str(fleet_file)])
    try:
        wait_for(lambda: pid_file.exists() and pid_file.read_text())
    finally:
        controller.kill()
        controller.wait()
    assert_ends(int(pid_file.read_text()))


def test_a_host_behind_ssh_builds_as_this_machine_does(odd_path: Path, loopback: LoopbackFleet) -> None:
    make_crate(odd_path / "repo")
    hosts: dict[str, dict[str, object]] = {
        name: {"root": str(odd_path / f"root {name}")} for name in ("alpha", "noisy")
    }
    with opened(odd_path, hosts, suites=suites(), ssh_config=loopback.ssh_config) as fleet:
        assert not sync(fleet, silent).errors
        first, second = built_by(fleet), built_by(fleet)
    assert not first.errors, first.errors
    assert [what_it_says(built) for built in first.values.values()] == ["one", "one"]
    assert [built.cached for built in second.values.values()] == [True, True]


def assert_ends(pid: int) -> None:
    try:
        wait_for(lambda: not pid_is_alive(pid))
    finally:
        if pid_is_alive(pid):
            os.kill(pid, signal.SIGKILL)
