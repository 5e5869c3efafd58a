"""Starting runs: scripted hosts for what may go wrong, and one real runner for `--replace`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sltfleet.app import run as run_module
from sltfleet.app.archive import runner_archive
from sltfleet.app.clean import execute_hosts, plan_hosts
from sltfleet.app.fleet import Fleet, HostResults
from sltfleet.app.progress import ProgressEvent, Warned, silent
from sltfleet.app.run import RunOptions, make_spec, start_run
from sltfleet.app.runs import load_run
from sltfleet.app.status import poll_host
from sltfleet.app.stop import stop_host
from sltfleet.core.building import BuiltSuite
from sltfleet.core.cleaning import CleanRequest
from sltfleet.core.errors import ActiveRunError, BuildError, ConnectError, RunError, UsageError
from sltfleet.core.launching import prepare_script, read_prepare
from sltfleet.core.paths import MARKER_NAME
from sltfleet.core.polling import IDLE
from sltfleet.core.revision import Revision
from sltfleet.core.runid import is_run_id
from sltfleet.core.shell import Script
from sltfleet.transport.base import CommandResult
from sltfleet.wire.codec import to_text
from sltfleet.wire.handshake import Launched, Prepared, Refused, Stopped, answer_to_line
from sltfleet.wire.share import Member, Share, share_from_json
from sltfleet.wire.spec import (
    PartitionUnits,
    Spec,
    spec_from_json,
)
from sltfleet.wire.state import Identity
from tests.support.local_fleet import PROJECT, local_fleet
from tests.support.states import RUN_ID
from tests.support.suites import built_on, suite_with
from tests.support.transports import ScriptedTransport, answer


class Hosts:
    """Scripted hosts: each answers a launch with the lines it was given, in turn."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, **answers: list[str | Exception]) -> None:
        self.specs: dict[str, Spec] = {}
        self.shares: dict[str, Share] = {}
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
            self.asked[name].append(step_of(script))
            if "share" in files:
                self.shares[name] = share_from_json(json.loads(files["share"]))
            if "spec" in files:
                self.specs[name] = spec_from_json(json.loads(files["spec"]))
            reply = left.pop(0)
            if isinstance(reply, Exception):
                raise reply
            return answer(reply, exit_code=3 if "refused" in reply else 0)

        return respond


def step_of(script: Script) -> str:
    """What a script asks of the host's runner."""
    return next(word for word in ("prepare", "launch", "stop") if f' {word} "$dir"' in script.body)


def prepared(workers: int = 3, units: int = 40, digest: str = "d1") -> str:
    return answer_to_line(Prepared(RUN_ID, workers, units, digest))


PREPARED = prepared()
LAUNCHED = answer_to_line(Launched(Identity("b", 7, 9), RUN_ID, workers=3, units=40, python="3.11.2"))
ACTIVE = answer_to_line(Refused("active", "run X is active", run_id="X"))
NO_UNITS = answer_to_line(Refused("no-units", "no unit matches", "check units"))


class TestStarting:
    def test_a_run_has_one_id_and_seed_on_all_hosts_and_is_remembered(
        self, odd_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hosts = Hosts(odd_path, monkeypatch, alpha=[PREPARED, LAUNCHED], beta=[PREPARED, LAUNCHED])
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
            beta=[PREPARED, LAUNCHED],
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


class TestSharing:
    def test_several_hosts_are_all_prepared_before_each_is_told_of_the_others_and_launched(
        self, odd_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hosts = Hosts(odd_path, monkeypatch, alpha=[prepared(workers=2), LAUNCHED], beta=[prepared(), LAUNCHED])
        started = start_run(hosts.fleet, None, RunOptions(), silent)
        assert list(started.launched.values) == ["alpha", "beta"]
        assert hosts.asked == {"alpha": ["prepare", "launch"], "beta": ["prepare", "launch"]}
        members = (Member("alpha", 2), Member("beta", 3))
        assert hosts.shares == {name: Share(name, members) for name in ("alpha", "beta")}

    def test_only_hosts_that_are_ready_have_a_share(self, odd_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        two = [PREPARED, LAUNCHED]
        hosts = Hosts(odd_path, monkeypatch, alpha=list(two), beta=[NO_UNITS], gamma=list(two))
        start_run(hosts.fleet, None, RunOptions(), silent)
        assert [member.host for member in hosts.shares["alpha"].members] == ["alpha", "gamma"]
        assert hosts.asked["beta"] == ["prepare"]

    def test_one_host_needs_one_round_trip_and_has_no_share(
        self, odd_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hosts = Hosts(odd_path, monkeypatch, alpha=[LAUNCHED])
        start_run(hosts.fleet, None, RunOptions(), silent)
        assert (hosts.asked["alpha"], hosts.shares) == (["launch"], {})

    def test_hosts_with_other_units_share_nothing_and_it_is_said_which_they_are(
        self, odd_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hosts = Hosts(
            odd_path,
            monkeypatch,
            alpha=[PREPARED, LAUNCHED],
            beta=[prepared(units=39, digest="d2"), LAUNCHED],
            gamma=[PREPARED, LAUNCHED],
        )
        events: list[ProgressEvent] = []
        started = start_run(hosts.fleet, None, RunOptions(), events.append)
        assert (len(started.launched.values), hosts.shares) == (3, {})
        (warning,) = (event.text for event in events if isinstance(event, Warned))
        assert "beta has 39, and the others 40" in warning

    @pytest.mark.parametrize(
        ("options", "words"),
        [(RunOptions(), "once they are done with theirs"), (RunOptions(once=True), "is not run")],
    )
    def test_of_a_host_that_is_ready_and_does_not_start_it_is_said_what_becomes_of_its_share(
        self, odd_path: Path, monkeypatch: pytest.MonkeyPatch, options: RunOptions, words: str
    ) -> None:
        lost = ConnectError("cannot connect")
        hosts = Hosts(odd_path, monkeypatch, alpha=[PREPARED, LAUNCHED], beta=[PREPARED, lost])
        events: list[ProgressEvent] = []
        started = start_run(hosts.fleet, None, options, events.append)
        assert list(started.launched.errors) == ["beta"]
        assert [event.host for event in events if isinstance(event, Warned) and words in event.text] == ["beta"]

    @pytest.mark.parametrize(("named", "warned"), [("20261123-120312-3f9a1c", True), ("$(reboot)", False)])
    def test_a_lost_run_before_this_one_is_told_of_where_the_host_names_one(
        self, odd_path: Path, monkeypatch: pytest.MonkeyPatch, named: str, warned: bool
    ) -> None:
        launched = Launched(Identity("b", 7, 9), RUN_ID, workers=3, units=40, python="3.11.2", lost_run_id=named)
        events: list[ProgressEvent] = []
        hosts = Hosts(odd_path, monkeypatch, alpha=[answer_to_line(launched)])
        start_run(hosts.fleet, None, RunOptions(), events.append)
        assert any(isinstance(event, Warned) and named in event.fix for event in events) is warned

    def test_once_on_several_hosts_gives_each_worker_of_the_fleet_its_share(
        self, odd_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        two = [PREPARED, LAUNCHED]
        hosts = Hosts(odd_path, monkeypatch, alpha=list(two), beta=list(two))
        start_run(hosts.fleet, None, RunOptions(once=True, workers=4), silent)
        assert [spec.units for spec in hosts.specs.values()] == [PartitionUnits(count=8)] * 2


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
        hosts = Hosts(odd_path, monkeypatch, alpha=[PREPARED, LAUNCHED], beta=[PREPARED, LAUNCHED])
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

    def test_it_is_ended_in_either_phase(self, odd_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        stopped = answer_to_line(Stopped("X", was_running=True))
        hosts = Hosts(
            odd_path,
            monkeypatch,
            alpha=[ACTIVE, stopped, PREPARED, LAUNCHED],
            beta=[PREPARED, ACTIVE, stopped, LAUNCHED],
        )
        started = start_run(hosts.fleet, None, RunOptions(replace=True), silent)
        assert list(started.launched.values) == ["alpha", "beta"], started.launched.errors
        assert hosts.asked["alpha"] == ["prepare", "stop", "prepare", "launch"]
        assert hosts.asked["beta"] == ["prepare", "launch", "stop", "launch"]

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
    runs = Path(real_fleet.hosts[0].paths.project_dir, "runs")
    assert sorted(path.name for path in runs.iterdir()) == sorted([first.run_id, second.run_id])


def test_what_was_prepared_and_never_launched_is_no_run_and_can_be_cleaned(real_fleet: Fleet) -> None:
    (host,) = real_fleet.hosts
    folder = Path(host.paths.project_dir)
    (folder / MARKER_NAME).write_text(PROJECT)
    built = replace(built_on("alpha", folder), digest=hashlib.sha256(b"#!/bin/sh\nexec sleep 60\n").hexdigest())
    spec = make_spec(RUN_ID, host, suite_with(), built, RunOptions(), 7)
    archive = runner_archive()
    text = to_text(spec).encode()
    script = prepare_script(host.paths, RUN_ID, archive, text)
    result = host.transport.run(script, timeout_s=60.0)
    assert read_prepare(result.exit_code, result.stdout, result.stderr).units == 40
    assert Path(folder, "runs", RUN_ID, "tree").is_dir()
    assert [poll_host(host, run_id).condition for run_id in (None, RUN_ID)] == [IDLE, IDLE]
    cleaned = plan_hosts(real_fleet, CleanRequest(keep=0), silent)
    assert [deletion.name for deletion in cleaned.values["alpha"].deletions] == [f"runs/{RUN_ID}"]
    execute_hosts(real_fleet, cleaned.values, silent)
    assert not Path(folder, "runs", RUN_ID).exists()
