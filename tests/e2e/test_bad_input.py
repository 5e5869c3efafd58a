"""Wrong input and broken hosts: a clear message for each, a documented exit code, and the other hosts go on."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sltfleet.core.errors import ExitCode
from sltfleet.demo.loopback import LoopbackFleet, LoopbackHost
from tests.e2e.conftest import stopped_at_the_end
from tests.e2e.observer import make_observer
from tests.support.cli import Person


@pytest.fixture
def broken_fleet(person: Person, tmp_path: Path) -> Iterator[Person]:
    """One good host, and one of each kind that is not."""
    hosts = [
        LoopbackHost("good"),
        LoopbackHost("down", server="down"),
        LoopbackHost("unknown-key", host_key="unknown"),
        LoopbackHost("changed-key", host_key="changed"),
        LoopbackHost("wrong-key", authorized=False),
    ]
    with LoopbackFleet(hosts, tmp_path / "ssh") as loopback:
        person.environ["SLTFLEET_SSH_CONFIG"] = str(loopback.ssh_config)
        keys: dict[str, dict[str, object]] = {
            host.alias: {"root": str(tmp_path / "hosts" / host.alias)} for host in hosts
        }
        make_observer(person.cwd, keys, {"a.unit": "sleep 0.1\n", "b.unit": "sleep 0.1\n"})
        with stopped_at_the_end(person):
            yield person


def test_broken_hosts_are_named_with_their_reason_and_the_good_one_goes_on(broken_fleet: Person) -> None:
    synced = broken_fleet.does("sync", code=ExitCode.HOST)
    assert "good" in synced.stdout
    for host, words in {
        "down": "refused",
        "unknown-key": "ssh-keygen",
        "changed-key": "known_hosts",
        "wrong-key": "login",
    }.items():
        paragraph = synced.stderr[synced.stderr.index(f"error: {host}:") :]
        assert words in paragraph, f"{host}: {words}\n{synced.said}"
    assert "Traceback" not in synced.said


@pytest.mark.cargo
def test_a_run_starts_on_the_good_host_and_says_which_ones_it_had_to_leave_out(broken_fleet: Person) -> None:
    broken_fleet.types("sync")
    run = broken_fleet.does("run", "--workers", "2", "--budget", "10s", code=ExitCode.HOST)
    assert "2/2" in run.stdout
    status = broken_fleet.does("status", "--format", "json", code=ExitCode.HOST).json()
    states = {host["host"]: host["state"] for host in status["hosts"]}
    assert states.pop("good") == "finished"
    assert set(states.values()) == {"unreachable"}


@pytest.fixture
def local_fleet(person: Person, tmp_path: Path) -> Iterator[Person]:
    """A local host with a good project."""
    make_observer(
        person.cwd,
        {"localhost": {"transport": "local", "root": str(tmp_path / "hosts")}},
        {"a.unit": "sleep 0.1\n", "b.unit": "sleep 0.1\n"},
    )
    with stopped_at_the_end(person):
        yield person


@pytest.mark.cargo
def test_a_compile_error_is_shown_as_rustc_rendered_it(local_fleet: Person) -> None:
    source = local_fleet.cwd / "repo" / "tests" / "observer.rs"
    source.write_text(source.read_text() + '\nfn wrong() -> u32 { "text" }\n')
    local_fleet.does("sync")
    built = local_fleet.does("build", code=ExitCode.BUILD)
    assert "mismatched types" in built.stderr
    assert "observer.rs" in built.stderr
    local_fleet.does("run", "--budget", "1s", code=ExitCode.BUILD)


@pytest.mark.cargo
def test_no_matching_unit_a_second_run_and_a_run_before_a_sync_are_refused_by_name(local_fleet: Person) -> None:
    early = local_fleet.does("run", "--budget", "1s", code=ExitCode.SYNC)
    assert "sltfleet sync" in early.stderr
    local_fleet.does("sync")
    none = local_fleet.does("run", "--budget", "1s", "--unit", "nothing/*", code=ExitCode.RUN)
    assert "nothing/*" in none.stderr
    local_fleet.does("run", "--budget", "300s", "--detach")
    second = local_fleet.does("run", "--budget", "1s", code=ExitCode.RUN)
    assert "--replace" in second.stderr
    local_fleet.does("run", "--budget", "1s", "--replace")
    (host,) = local_fleet.does("status", "--format", "json").json()["hosts"]
    assert host["state"] == "finished"


def test_every_mistake_of_a_fleet_yaml_is_named_at_once(local_fleet: Person) -> None:
    path = local_fleet.cwd / "fleet.yaml"
    path.write_text(
        path.read_text().replace("kill_after: 1s", "kil_after: 1s").replace("timeout: 60s", "timeout: soon")
    )
    typed = local_fleet.does("status", code=ExitCode.USAGE)
    assert "fleet.yaml:" in typed.stderr
    assert "kill_after" in typed.stderr
    assert "soon" in typed.stderr
    assert "Traceback" not in typed.stderr


def test_an_unknown_host_names_the_nearest_one(local_fleet: Person) -> None:
    typed = local_fleet.does("status", "--host", "locahost", code=ExitCode.USAGE)
    assert "'localhost'" in typed.stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 300 kB; only root may mount one."""
    folder = tmp_path / "small disk"
    folder.mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", "size=300k", "none", str(folder)]
    mounted = subprocess.run(argv, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_ends_the_sync_of_its_host_and_leaves_the_mark(
    person: Person, tmp_path: Path, small_disk: Path
) -> None:
    roots = {"full": small_disk, "roomy": tmp_path / "roomy"}
    keys: dict[str, dict[str, object]] = {
        name: {"transport": "local", "root": str(root)} for name, root in roots.items()
    }
    make_observer(person.cwd, keys, {"a.unit": "sleep 0.1\n", "large.unit": "sleep 0\n" * 200_000})

    synced = person.does("sync", code=ExitCode.SYNC)

    assert "error: full:" in synced.stderr
    assert "No space left" in synced.stderr or "disk" in synced.stderr
    assert "roomy" in synced.stdout
    built = person.does("build", "--host", "full", code=ExitCode.SYNC)
    assert "sltfleet sync" in built.stderr


def test_a_watched_status_has_no_json(local_fleet: Person) -> None:
    typed = local_fleet.does("status", "--watch", "--format", "json", code=ExitCode.USAGE)
    assert "--watch" in typed.stderr
