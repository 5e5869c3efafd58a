"""What no single value of fleet.yaml can be blamed for: keys that must fit each other."""

from __future__ import annotations

import os.path
import posixpath
from collections.abc import Iterator

from sltfleet.config.model import FleetConfig, OutputConfig
from sltfleet.config.problems import problem_at
from sltfleet.config.yaml_tree import YamlTree
from sltfleet.core.errors import ConfigProblem
from sltfleet.core.nearest import did_you_mean


def check_fleet(config: FleetConfig, tree: YamlTree) -> Iterator[ConfigProblem]:
    """Yield what does not fit together in `config`, which was made from `tree`."""
    yield from _check_default_suite(config, tree)
    yield from _check_local_roots(config, tree)
    yield from _check_addresses(config, tree)
    for name, suite in config.suites.items():
        verdict = suite.verdict
        if isinstance(verdict, OutputConfig) and not (verdict.passed or verdict.failed):
            yield problem_at(
                tree, ("suites", name, "verdict"), "has neither `passed` nor `failed`", "give one regular expression"
            )
        if suite.build.all_features and suite.build.features:
            path = ("suites", name, "build", "features")
            yield problem_at(tree, path, "does not go with `all_features`", "remove one of them")


def _check_default_suite(config: FleetConfig, tree: YamlTree) -> Iterator[ConfigProblem]:
    name = config.default_suite
    if name is not None and name not in config.suites:
        hint = did_you_mean(name, config.suites) or "known suites: " + ", ".join(config.suites)
        yield problem_at(tree, ("default_suite",), f"there is no suite {name!r}", hint)


def _check_local_roots(config: FleetConfig, tree: YamlTree) -> Iterator[ConfigProblem]:
    """Two local hosts with one root would be one folder with two syncs, two builds and two runners."""
    owners: dict[str, str] = {}
    for name, host in config.hosts.items():
        if host.transport != "local":
            continue
        owner = owners.setdefault(posixpath.normpath(os.path.expanduser(host.root)), name)
        if owner != name:
            message = f"is the folder of the local host {owner!r} too"
            yield problem_at(tree, ("hosts", name, "root"), message, "give each local host a `root` of its own")


def _check_addresses(config: FleetConfig, tree: YamlTree) -> Iterator[ConfigProblem]:
    for name, host in config.hosts.items():
        if host.transport == "local" and host.address is not None:
            path = ("hosts", name, "address")
            yield problem_at(tree, path, "a local host has no address", "remove it, or `transport: local`")
