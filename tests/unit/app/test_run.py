"""Starting runs: scripted hosts for what may go wrong, and one real runner for `--replace`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sltfleet.app import run as run_module
from sltfleet.app.fleet import Fleet, HostResults
from sltfleet.app.progress import ProgressEvent, Warned, silent
from sltfleet.app.run import RunOptions, make_spec, start_run
from sltfleet.app.runs import load_run
from sltfleet.app.stop import stop_host
from sltfleet.config.model import BuildConfig, HostConfig, SuiteConfig, TimeoutConfig
from sltfleet.config.units import FilesConfig, PartitionsConfig
from sltfleet.config.verdicts import ExitCodeConfig, JsonConfig, OutputConfig
from sltfleet.core.building import BuiltSuite
from sltfleet.core.errors import ActiveRunError, BuildError, ConnectError, RunError, UsageError
from sltfleet.core.revision import Revision
from sltfleet.core.runid import is_run_id
from sltfleet.core.shell import Script
from sltfleet.transport.base import CommandResult
from sltfleet.wire.handshake import Launched, Refused, Stopped, answer_to_line
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
from sltfleet.wire.state import Identity
from sltfleet.wire.template import expand_template
from tests.support.local_fleet import PROJECT, local_fleet
from tests.support.states import RUN_ID
from tests.support.transports import ScriptedTransport, answer

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


class Hosts:
    """Scripted hosts: each answers a launch with the lines it was given, in turn."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, **answers: list[str | Exception]) -> None:
        self.specs: dict[str, Spec] = {}
        self.asked: dict[str, list[str]] = {name: [] for name in answers}
        self.build_errors: dict[str, BuildError] = {}
        transports = {name: ScriptedTransport(name, self._responder(name, lines)) for name, lines in answers.items()}
        self.fleet = local_fleet(folder, {name: f"/{name}" for name in answers}, dict(transports))
        monkeypatch.setattr(run_module, "build", self._build)

    def _build(self, fleet: Fleet, *_rest: object) -> HostResults[BuiltSuite]:
        names = [host.name for host in fleet.hosts if host.name not in self.build_errors]
        return HostResults({name: built_on(name) for name in names}, dict(self.build_errors))

    def _responder(self, name: str, lines: list[str | Exception]) -> Callable[[Script], CommandResult]:
        left = list(lines)

        def respond(script: Script) -> CommandResult:
            files = dict(script.files)
            self.asked[name].append("launch" if "spec" in files else "stop")
            if "spec" in files:
                self.specs[name] = spec_from_json(json.loads(files["spec"]))
            reply = left.pop(0)
            if isinstance(reply, Exception):
                raise reply
            return answer(reply, exit_code=3 if "refused" in reply else 0)

        return respond


LAUNCHED = answer_to_line(Launched(Identity("b", 7, 9), RUN_ID, workers=3, units=40, python="3.11.2"))
ACTIVE = answer_to_line(Refused("active", "run X is active", run_id="X"))
NO_UNITS = answer_to_line(Refused("no-units", "no unit matches", "check units"))


class TestStarting:
    def test_a_run_has_one_id_and_seed_on_all_hosts_and_is_remembered(
        self, odd_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hosts = Hosts(odd_path, monkeypatch, alpha=[LAUNCHED], beta=[LAUNCHED])
        started = start_run(hosts.fleet, None, RunOptions(budget_s=30.0), silent)
        assert is_run_id(started.run_id)
        assert {(spec.run_id, spec.seed, spec.budget_s) for spec in hosts.specs.values()} == {
            (started.run_id, started.seed, 30.0)
        }
        record = load_run(hosts.fleet.paths, started.run_id)
        assert record is not None
        assert (record.hosts, record.workers) == (("alpha", "beta"), {"alpha": 3, "beta": 3})
        assert (record.suite, record.budget_s, record.seed) == ("s", 30.0, started.seed)
        assert (record.commit, record.dirty_digest) == ("c0ffee", "d1ff")

    def test_what_lies_on_the_host_is_what_the_run_is_about(
        self, odd_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hosts = Hosts(odd_path, monkeypatch, alpha=[LAUNCHED])
        start_run(hosts.fleet, None, RunOptions(seed=7), silent)
        spec = hosts.specs["alpha"]
        assert (spec.commit, spec.dirty_digest, spec.seed) == ("c0ffee", "d1ff", 7)
        assert (spec.project, spec.host, spec.package_dir) == (PROJECT, "alpha", "crates/p")

    def test_a_host_that_cannot_start_keeps_no_other_from_it(
        self, odd_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hosts = Hosts(
            odd_path,
            monkeypatch,
            alpha=[ConnectError("cannot connect")],
            beta=[LAUNCHED],
            gamma=[NO_UNITS],
            delta=[],
        )
        hosts.build_errors["delta"] = BuildError("the build failed", host="delta")
        started = start_run(hosts.fleet, None, RunOptions(), silent)
        assert list(started.launched.values) == ["beta"]
        assert {name: type(error) for name, error in started.launched.errors.items()} == {
            "alpha": ConnectError,
            "gamma": RunError,
            "delta": BuildError,
        }
        assert hosts.asked["delta"] == []
        record = load_run(hosts.fleet.paths, started.run_id)
        assert record is not None
        assert record.hosts == ("beta",)

    def test_a_run_that_started_nowhere_is_not_remembered(
        self, odd_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hosts = Hosts(odd_path, monkeypatch, alpha=[NO_UNITS])
        started = start_run(hosts.fleet, None, RunOptions(), silent)
        assert started.launched.values == {}
        assert load_run(hosts.fleet.paths, started.run_id) is None

    def test_an_unknown_suite_is_refused_before_anything_is_built(
        self, odd_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hosts = Hosts(odd_path, monkeypatch, alpha=[])
        with pytest.raises(UsageError, match="there is no suite"):
            start_run(hosts.fleet, "nope", RunOptions(), silent)
        assert hosts.asked["alpha"] == []


class TestTheTreeThere:
    @pytest.mark.parametrize(
        ("here", "warned"),
        [
            (Revision("c0ffee", "d1ff"), False),
            (Revision("c0ffee", "0ther"), True),
            (Revision("cafe", "d1ff"), True),
            (Revision("", ""), False),
        ],
    )
    def test_a_run_on_another_state_than_the_one_here_is_started_with_a_warning(
        self, odd_path: Path, monkeypatch: pytest.MonkeyPatch, here: Revision, warned: bool
    ) -> None:
        hosts = Hosts(odd_path, monkeypatch, alpha=[LAUNCHED], beta=[LAUNCHED])
        monkeypatch.setattr(run_module, "read_revision", lambda _repo: here)
        events: list[ProgressEvent] = []
        started = start_run(hosts.fleet, None, RunOptions(), events.append)
        assert list(started.launched.values) == ["alpha", "beta"]
        texts = [event.text for event in events if isinstance(event, Warned)]
        assert ["alpha, beta" in text for text in texts] == ([True] if warned else [])


class TestAnActiveRun:
    def test_it_is_left_alone_without_replace(self, odd_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        hosts = Hosts(odd_path, monkeypatch, alpha=[ACTIVE])
        started = start_run(hosts.fleet, None, RunOptions(), silent)
        assert isinstance(started.launched.errors["alpha"], ActiveRunError)
        assert hosts.asked["alpha"] == ["launch"]

    def test_it_is_ended_first_with_replace(self, odd_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        stopped = answer_to_line(Stopped("X", was_running=True))
        hosts = Hosts(odd_path, monkeypatch, alpha=[ACTIVE, stopped, LAUNCHED])
        started = start_run(hosts.fleet, None, RunOptions(replace=True), silent)
        assert list(started.launched.values) == ["alpha"]
        assert hosts.asked["alpha"] == ["launch", "stop", "launch"]

    def test_what_cannot_be_ended_is_not_replaced(self, odd_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        stopped = answer_to_line(Stopped("X", was_running=True, survivors=(41, 42)))
        hosts = Hosts(odd_path, monkeypatch, alpha=[ACTIVE, stopped])
        error = start_run(hosts.fleet, None, RunOptions(replace=True), silent).launched.errors["alpha"]
        assert error.what == "the earlier run could not be ended"
        assert "41, 42" in error.why


@pytest.fixture
def real_fleet(odd_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    """A host that is this machine, with a synced repo and a built suite that sleeps."""
    fleet = local_fleet(odd_path, {"alpha": str(odd_path / "root")})
    folder = odd_path / "root" / PROJECT
    (folder / "repo" / "crates" / "p").mkdir(parents=True)
    (folder / "target").mkdir()
    binary = folder / "target" / "t-0123"
    binary.write_text("#!/bin/sh\nexec sleep 60\n")
    binary.chmod(0o755)
    built = replace(built_on("alpha", folder), digest=hashlib.sha256(binary.read_bytes()).hexdigest())
    monkeypatch.setattr(run_module, "build", lambda *_args: HostResults({"alpha": built}))
    yield fleet
    stop_host(fleet.hosts[0], None, 5.0)


def test_a_real_runner_is_replaced_by_another_one(real_fleet: Fleet) -> None:
    options = RunOptions(workers=1, budget_s=60.0)
    first = start_run(real_fleet, None, options, silent)
    assert list(first.launched.values) == ["alpha"], first.launched.errors
    refused = start_run(real_fleet, None, options, silent)
    assert isinstance(refused.launched.errors["alpha"], ActiveRunError)
    assert refused.launched.errors["alpha"].why == first.run_id
    second = start_run(real_fleet, None, replace(options, replace=True), silent)
    assert list(second.launched.values) == ["alpha"], second.launched.errors
    runs = Path(real_fleet.hosts[0].paths.runs)
    assert sorted(path.name for path in runs.iterdir()) == sorted([first.run_id, second.run_id])


class TestTheSpec:
    @pytest.fixture
    def spec(self, odd_path: Path) -> Callable[..., Spec]:
        host = replace(local_fleet(odd_path, {"alpha": "/alpha"}).hosts[0], config=HOST_CONFIG)

        def make(
            options: RunOptions | None = None,
            history: dict[str, UnitHistory] | None = None,
            **changes: object,
        ) -> Spec:
            suite = suite_with(**changes)
            spec = make_spec(RUN_ID, host, suite, built_on("alpha"), options or RunOptions(), 7, history or {})
            assert spec_from_json(json.loads(json.dumps(spec.to_json()))) == spec, "it survives the wire"
            return spec

        return make

    def test_the_command_line_goes_before_fleet_yaml(self, spec: Callable[..., Spec]) -> None:
        plain = spec()
        assert (plain.workers, plain.budget_s, plain.passes) == (3, 3600.0, None)
        asked = spec(RunOptions(workers=64, budget_s=1.5, passes=2, once=True, fail_fast=1, select=("a*",)))
        assert (asked.workers, asked.budget_s, asked.passes) == (64, 1.5, 2)
        assert (asked.once, asked.fail_fast, asked.select) == (True, 1, ("a*",))

    def test_the_host_s_environment_is_literal_and_the_suite_s_goes_before_it(self, spec: Callable[..., Spec]) -> None:
        made = spec()
        assert expand_template(made.env["LIMIT"], {}) == "{not a placeholder}"
        assert expand_template(made.env["UNIT"], {"unit": "a.test"}) == "a.test"
        assert spec(env={"LIMIT": "{unit}"}).env["LIMIT"] == "{unit}"

    def test_units_are_files_or_partitions(self, spec: Callable[..., Spec]) -> None:
        assert spec().units == PartitionUnits(count=40)
        files = FilesConfig(kind="files", root="corpus", include=("**/*.test",), exclude=("slow/*",))
        assert spec(units=files).units == FileUnits("corpus", ("**/*.test",), ("slow/*",))

    def test_once_gives_each_worker_its_fixed_share_as_the_old_launcher_did(self, spec: Callable[..., Spec]) -> None:
        assert spec(RunOptions(once=True, workers=64)).units == PartitionUnits(count=64)

    def test_every_rule_for_verdicts_reaches_the_runner(self, spec: Callable[..., Spec]) -> None:
        assert spec(verdict=ExitCodeConfig(kind="exit-code", success=(0, 2))).verdict == ExitCodeVerdict((0, 2))
        output = OutputConfig(kind="output", passed=("ok (?P<case>.*)",), failed=())
        assert spec(verdict=output).verdict == OutputVerdict(("ok (?P<case>.*)",), ())
        rule = JsonConfig(kind="json", path="target/{worker}.json", passed="p.q", failed="f", messages="m")
        assert spec(verdict=rule).verdict == JsonVerdict("target/{worker}.json", "p.q", "f", "m")

    def test_limits_and_history_reach_the_runner(self, spec: Callable[..., Spec]) -> None:
        history = {"a.test": UnitHistory(0, 1.5)}
        made = spec(
            history=history, timeout=TimeoutConfig(max=9.0), kill_after=1.0, output_limit=10, artifacts_limit=20, nice=5
        )
        assert made.limits == Limits(9.0, 1.0, 10, 20, 5)
        assert made.history == history
