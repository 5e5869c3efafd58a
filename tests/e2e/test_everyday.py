"""The main job, typed word for word, with the repository's own fleet.yaml."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sltfleet.core.paths import HostPaths
from sltfleet.demo.cache import seed_target
from sltfleet.demo.loopback import LoopbackFleet, LoopbackHost
from tests.e2e.conftest import stopped_at_the_end
from tests.support.cargo import session_environment
from tests.support.cli import Person
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.cargo, pytest.mark.xdist_group("measured")]

REPO = Path(__file__).resolve().parents[2]
HOST = "rwalters-sandbox-1"


@pytest.fixture
def own_repo(person: Person, warm_target: Path, tmp_path: Path) -> Iterator[Person]:
    """A copy of this very repository, and `rwalters-sandbox-1` as a loopback host with a home folder of its own."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=REPO, check=True, capture_output=True).stdout
    for name in filter(None, tracked.decode().split("\0")):
        if not (REPO / name).exists():
            continue
        target = person.cwd / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPO / name, target)
    subprocess.run(["git", "init", "--quiet"], cwd=person.cwd, check=True)
    # Only the budget differs from what a person has: a test has no five minutes.
    fleet = person.cwd / "fleet.yaml"
    fleet.write_text(fleet.read_text().replace("budget: 300s", "budget: 40s"))
    remote_home = tmp_path / "remote home"
    for home in (person.home, remote_home):
        seed_target(warm_target, HostPaths(str(home / ".sltfleet"), "sltfleet-demo"))
    remote = LoopbackHost(HOST, home=remote_home, environment=session_environment())
    with LoopbackFleet([remote], tmp_path / "ssh") as loopback:
        person.environ["SLTFLEET_SSH_CONFIG"] = str(loopback.ssh_config)
        with stopped_at_the_end(person):
            yield person


def test_the_four_everyday_commands_work_as_the_readme_has_them(own_repo: Person) -> None:
    person = own_repo
    synced = person.does("sync")
    assert HOST in synced.stdout
    assert "localhost" in synced.stdout

    watched = person.start("run", "--host", HOST, "--workers", "64")

    def active() -> bool:
        hosts = person.does("status", "--format", "json").json()["hosts"]
        return any(host["host"] == HOST and host["state"] == "running" and host["active"] == 64 for host in hosts)

    wait_for(active, "64 active workers in `sltfleet status`")
    table = person.does("status").stdout
    assert "64/64" in table
    assert "running" in table
    assert "idle" in table, "the host that was not selected has no run"

    ended = person.finish(watched)
    # Three files of the sample fail honestly: a run that was watched to its end says so by its exit code.
    assert ended.exit_code == 1, ended.said
    assert "0/64" in ended.stdout

    assert "honest-failures/" in person.does("fetch").stdout
    report = person.does("report", "--format", "json").json()
    found = report["hosts"][0]["utilization"]
    assert found["workers"] == 64
    # The other tests leave this host little CPU; how soon all are covered is tested where there is time for it.
    assert found["units_covered"] > 100
    assert (person.cwd / ".sltfleet" / "results.sqlite").exists()
    assert list((person.cwd / ".sltfleet" / "runs").glob(f"*/{HOST}/journal.jsonl"))


def test_quick_syncs_builds_and_runs_with_eight_workers(own_repo: Person) -> None:
    ended = own_repo.types("quick", "--host", "localhost", "--budget", "12s")
    assert ended.exit_code == 1, ended.said
    assert "/8" in ended.stdout
