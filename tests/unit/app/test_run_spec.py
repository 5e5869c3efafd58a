"""The specification that a run sends to a host: fleet.yaml, the command line, the build, what earlier runs know."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sltfleet.app.run import RunOptions, make_spec
from sltfleet.config.model import TimeoutConfig
from sltfleet.config.units import FilesConfig
from sltfleet.config.verdicts import ExitCodeConfig, JsonConfig, OutputConfig
from sltfleet.results.history import EarlierRuns
from sltfleet.wire.codec import to_text
from sltfleet.wire.spec import (
    ExitCodeVerdict,
    FileUnits,
    JsonVerdict,
    Limits,
    OutputVerdict,
    PartitionUnits,
    Spec,
    UnitHistory,
    spec_from_json,
)
from sltfleet.wire.template import expand_template
from tests.support.local_fleet import local_fleet
from tests.support.states import RUN_ID
from tests.support.suites import HOST_CONFIG, built_on, suite_with


@pytest.fixture
def spec(odd_path: Path) -> Callable[..., Spec]:
    host = replace(local_fleet(odd_path, {"alpha": "/alpha"}).hosts[0], config=HOST_CONFIG)

    def make(
        options: RunOptions | None = None,
        history: dict[str, UnitHistory] | None = None,
        **changes: object,
    ) -> Spec:
        suite = suite_with(**changes)
        spec = make_spec(RUN_ID, host, suite, built_on("alpha"), options or RunOptions(), 7, EarlierRuns(history or {}))
        assert spec_from_json(json.loads(to_text(spec))) == spec, "it survives the wire"
        return spec

    return make


def test_the_command_line_goes_before_fleet_yaml(spec: Callable[..., Spec]) -> None:
    plain = spec()
    assert (plain.workers, plain.budget_s, plain.passes) == (3, 3600.0, None)
    asked = spec(RunOptions(workers=64, budget_s=1.5, passes=2, once=True, fail_fast=1, select=("a*",)))
    assert (asked.workers, asked.budget_s, asked.passes) == (64, 1.5, 2)
    assert (asked.once, asked.fail_fast, asked.select) == (True, 1, ("a*",))


def test_the_host_s_environment_is_literal_and_the_suite_s_goes_before_it(spec: Callable[..., Spec]) -> None:
    made = spec()
    assert expand_template(made.env["LIMIT"], {}) == "{not a placeholder}"
    assert expand_template(made.env["UNIT"], {"unit": "a.test"}) == "a.test"
    assert spec(env={"LIMIT": "{unit}"}).env["LIMIT"] == "{unit}"


def test_units_are_files_or_partitions(spec: Callable[..., Spec]) -> None:
    assert spec().units == PartitionUnits(count=40)
    files = FilesConfig(kind="files", root="corpus", include=("**/*.test",), exclude=("slow/*",))
    assert spec(units=files).units == FileUnits("corpus", ("**/*.test",), ("slow/*",))


def test_once_gives_each_worker_its_fixed_share_as_the_old_launcher_did(spec: Callable[..., Spec]) -> None:
    assert spec(RunOptions(once=True, workers=64)).units == PartitionUnits(count=64)


def test_every_rule_for_verdicts_reaches_the_runner(spec: Callable[..., Spec]) -> None:
    assert spec(verdict=ExitCodeConfig(kind="exit-code", success=(0, 2))).verdict == ExitCodeVerdict((0, 2))
    output = OutputConfig(kind="output", passed=("ok (?P<case>.*)",), failed=())
    assert spec(verdict=output).verdict == OutputVerdict(("ok (?P<case>.*)",), ())
    rule = JsonConfig(kind="json", path="target/{worker}.json", passed="p.q", failed="f", messages="m")
    assert spec(verdict=rule).verdict == JsonVerdict("target/{worker}.json", "p.q", "f", "m")


def test_limits_and_history_reach_the_runner(spec: Callable[..., Spec]) -> None:
    history = {"a.test": UnitHistory(0, 1.5)}
    made = spec(
        history=history, timeout=TimeoutConfig(max=9.0), kill_after=1.0, output_limit=10, artifacts_limit=20, nice=5
    )
    assert made.limits == Limits(9.0, 1.0, 10, 20, 5)
    assert made.history == history
