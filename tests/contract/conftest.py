"""What several modules have: a host for the real runner, and a fleet for `fetch`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sltfleet.app.fleet import open_fleet
from sltfleet.config.load import load_config
from sltfleet.demo.loopback import LoopbackFleet, LoopbackHost
from tests.contract.fetch_scene import SUITES, Scene
from tests.contract.runner_host import RunnerHost
from tests.support.hosts import write_fleet_yaml


@pytest.fixture
def host(odd_path: Path) -> Iterator[RunnerHost]:
    """A host whose every process is ended with the test, however the test ends."""
    host = RunnerHost(odd_path)
    try:
        yield host
    finally:
        host.end_everything()


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackFleet]:
    """A host over ssh, for all tests of a module."""
    folder = tmp_path_factory.mktemp("fetch")
    with LoopbackFleet([LoopbackHost("remote", home=tmp_path_factory.mktemp("home"))], folder / "fleet") as running:
        yield running


@pytest.fixture
def scene(odd_path: Path, remote: LoopbackFleet) -> Iterator[Scene]:
    """A fleet of the hosts `here` and `remote`, on which there is nothing yet."""
    hosts = {
        "here": {"transport": "local", "root": str(odd_path / "root of here")},
        "remote": {"root": str(odd_path / "root of remote")},
    }
    path = write_fleet_yaml(odd_path, hosts=hosts, suites=SUITES, ssh_config=remote.ssh_config)
    loaded = load_config(path, ssh_config=None, environ={}, cwd=odd_path)
    with open_fleet(loaded, ("here", "remote")) as fleet:
        yield Scene(fleet, odd_path)
