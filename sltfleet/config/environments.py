"""The environment variables that a fleet.yaml sets, wherever it sets them: to know which of their values are secret."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sltfleet.config.model import FleetConfig


def environments(config: FleetConfig) -> Iterator[Mapping[str, str]]:
    """Yield the variables of every host, suite and build."""
    for host in config.hosts.values():
        yield host.env
    for suite in config.suites.values():
        yield suite.env
        yield suite.build.env
