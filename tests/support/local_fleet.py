"""A fleet of `local` hosts for the tests of the verbs: real shells, no ssh, a root of the test's own."""

from __future__ import annotations

from pathlib import Path

from sltfleet.app.fleet import Fleet, Host
from sltfleet.config.load import LoadedConfig
from sltfleet.config.model import BuildConfig, FleetConfig, HostConfig, SuiteConfig
from sltfleet.config.units import PartitionsConfig
from sltfleet.core.paths import HostPaths, LocalPaths
from sltfleet.transport.base import Transport
from sltfleet.transport.local import LocalTransport

PROJECT = "demo"


def local_fleet(fleet_dir: Path, roots: dict[str, str], transports: dict[str, Transport] | None = None) -> Fleet:
    """A fleet with a host per entry of `roots` (name: root); `transports` replace the real shell."""
    hosts = {name: HostConfig(transport="local", root=root) for name, root in roots.items()}
    suite = SuiteConfig(build=BuildConfig(test="t"), units=PartitionsConfig(kind="partitions", count=2))
    config = FleetConfig(project=PROJECT, hosts=hosts, suites={"s": suite})
    loaded = LoadedConfig(config, fleet_dir / "fleet.yaml", fleet_dir, fleet_dir, None)
    return Fleet(
        loaded=loaded,
        hosts=tuple(
            Host(name, hosts[name], HostPaths(root, PROJECT), (transports or {}).get(name) or LocalTransport(name))
            for name, root in roots.items()
        ),
        paths=LocalPaths(fleet_dir),
    )
