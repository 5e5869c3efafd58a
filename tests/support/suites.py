"""A suite of fleet.yaml, and its build on a host, for tests that need some."""

from __future__ import annotations

from pathlib import Path

from sltfleet.config.model import BuildConfig, HostConfig, SuiteConfig
from sltfleet.config.units import PartitionsConfig
from sltfleet.core.building import BuiltSuite

HOST_CONFIG = HostConfig(transport="local", workers=3, env={"LIMIT": "{not a placeholder}"})


def suite_with(**changes: object) -> SuiteConfig:
    plain = SuiteConfig(
        build=BuildConfig(test="t"), units=PartitionsConfig(kind="partitions", count=40), env={"UNIT": "{unit}"}
    )
    return plain.model_copy(update=changes)


def built_on(host: str, folder: Path = Path("/there")) -> BuiltSuite:
    return BuiltSuite(
        host=host,
        suite="s",
        binary=str(folder / "target" / "t-0123"),
        digest="ab" * 32,
        package="p",
        package_dir="crates/p",
        toolchain="rustc 1.90.0",
        commit="c0ffee",
        dirty_digest="d1ff",
        project_root=str(folder),
        repo=str(folder / "repo"),
        cached=False,
        duration_s=1.0,
    )
