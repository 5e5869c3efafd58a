"""How a run begins, with the runner as a real process: the zipapp, what it accepts and refuses, what it writes."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from sltfleet.runner.prepare import units_digest
from sltfleet.runner.processes import is_alive
from sltfleet.wire.codec import to_text
from sltfleet.wire.events import AttemptStarted
from sltfleet.wire.handshake import Launched, Prepared, Refused
from sltfleet.wire.share import Member, Share
from sltfleet.wire.spec import CommandUnits, OutputVerdict
from tests.contract.runner_host import UNITS, RunnerHost, finished, goodbye, of
from tests.support.waiting import wait_for


class TestStarting:
    def test_launch_answers_once_the_runner_runs_and_the_runner_is_in_a_session_of_its_own(
        self, host: RunnerHost
    ) -> None:
        spec = host.spec("sleep 0.2", budget_s=200.0)
        answer = host.launch(spec)
        assert answer.run_id == spec.run_id
        assert answer.workers == 2
        assert answer.units == len(UNITS)
        assert is_alive(answer.identity)
        assert os.getsid(answer.identity.pid) == answer.identity.pid
        assert host.state(spec).phase == "running"
        assert (host.root / "current").read_text() == "run-1\n"
        run_dir = str(host.run_dir(spec))
        kept = (str(host.root / "run.lock"), f"/proc/{answer.identity.pid}/task/{answer.identity.pid}/children")

        def only_its_own_files_are_open() -> bool:  # but for a moment, such as for a look at /proc
            targets = [str(entry.readlink()) for entry in Path(f"/proc/{answer.identity.pid}/fd").iterdir()]
            return [t for t in targets if t not in kept and not t.startswith(run_dir)] == ["/dev/null"]

        wait_for(only_its_own_files_are_open, "a runner that has kept no descriptor of its launcher's")

    def test_a_second_run_is_refused_while_one_is_active_and_accepted_afterwards(self, host: RunnerHost) -> None:
        first = host.spec("sleep 0.2", budget_s=200.0)
        host.launch(first)
        second = host.spec("sleep 0.2", run_id="run-2")
        code, answer, _ = host.call("launch", str(host.put(second)))
        assert code == 3
        assert isinstance(answer, Refused)
        assert (answer.problem, answer.run_id) == ("active", "run-1")
        host.stop(first)
        code, answer, text = host.call("launch", str(host.run_dir(second)))
        assert isinstance(answer, Launched), text
        host.wait_until_gone(answer.identity)

    @pytest.mark.parametrize(
        ("changes", "problem"),
        [
            ({"select": ("nothing/*",)}, "no-units"),
            ({"build_digest": "0" * 64}, "tree"),
            ({"binary": "/nowhere/at all"}, "tree"),
            ({"package_dir": "no/such"}, "tree"),
            ({"package_dir": "../up"}, "spec"),
            ({"env": {"A": "{nope}"}}, "spec"),
            ({"verdict": OutputVerdict(failed=("(",))}, "spec"),
        ],
    )
    def test_what_cannot_be_run_is_refused_with_the_reason(
        self, host: RunnerHost, changes: dict[str, object], problem: str
    ) -> None:
        spec = host.spec("true", **changes)
        code, answer, text = host.call("launch", str(host.put(spec)))
        assert code == 3
        assert isinstance(answer, Refused), text
        assert answer.problem == problem
        assert answer.message
        assert answer.fix

    def test_what_was_prepared_is_launched_later_with_the_units_that_it_had_then(self, host: RunnerHost) -> None:
        spec = host.spec("sleep 0.1", budget_s=0.5)
        run_dir = host.put(spec)
        code, prepared, text = host.call("prepare", str(run_dir))
        assert prepared == Prepared(spec.run_id, 2, len(UNITS), units_digest(reversed(UNITS))), text
        assert code == 0
        assert not (host.root / "current").exists()
        (host.repo / "corpus" / "another.test").write_text("too late")
        code, launched, text = host.call("launch", str(run_dir))
        assert isinstance(launched, Launched), text
        assert launched.units == len(UNITS)
        host.wait_until_gone(launched.identity)

    def test_a_run_is_not_prepared_while_another_one_is_active(self, host: RunnerHost) -> None:
        host.launch(host.spec("sleep 0.2", budget_s=200.0))
        code, answer, _ = host.call("prepare", str(host.put(host.spec("sleep 0.2", run_id="run-2"))))
        assert isinstance(answer, Refused)
        assert (code, answer.problem, answer.run_id) == (3, "active", "run-1")

    def test_a_host_begins_with_its_share_and_goes_on_with_what_is_not_in_it(self, host: RunnerHost) -> None:
        spec = host.spec("sleep 0.1", workers=1, budget_s=200.0)
        members = (Member("g", 1), Member("h", 1))
        (host.put(spec) / "share.json").write_text(to_text(Share("h", members)))
        _, launched, text = host.call("launch", str(host.run_dir(spec)))
        assert isinstance(launched, Launched), text
        wait_for(lambda: len(finished(host.journal(spec))) >= 3, "a pass")
        host.stop(spec)
        attempts = [event.unit for event in of(host.journal(spec), AttemptStarted)][:3]
        assert attempts[0] == UNITS[1]
        assert sorted(attempts[1:]) == [UNITS[0], UNITS[2]]

    @pytest.mark.parametrize(
        "share",
        [
            Share("g", (Member("g", 1),)),
            Share("h", (Member("g", 1),)),
            Share("h", (Member("h", 1), Member("h", 1))),
            Share("h", (Member("h", 1, -1.0),)),
            Share("h", (Member("h", 0),)),
        ],
    )
    def test_a_share_that_makes_no_sense_is_refused(self, host: RunnerHost, share: Share) -> None:
        run_dir = host.put(host.spec("true"))
        (run_dir / "share.json").write_text(to_text(share))
        code, answer, _ = host.call("launch", str(run_dir))
        assert isinstance(answer, Refused)
        assert (code, answer.problem) == (3, "spec")

    def test_a_damaged_spec_is_refused(self, host: RunnerHost) -> None:
        run_dir = host.root / "runs" / "x"
        run_dir.mkdir(parents=True)
        for content in ("", "[", "[]", '{"format": 99}', '{"format": 1}'):
            (run_dir / "spec.json").write_text(content)
            code, answer, _ = host.call("launch", str(run_dir))
            assert code == 3
            assert isinstance(answer, Refused)
            assert answer.problem == "spec"

    def test_the_death_of_the_launcher_does_nothing_to_the_runner(self, host: RunnerHost) -> None:
        spec = host.spec("sleep 0.2")
        run_dir = host.put(spec)
        launcher = subprocess.Popen(host.command("launch", str(run_dir)), stdout=subprocess.DEVNULL)
        wait_for((run_dir / "identity").exists, "the runner's identity")
        launcher.kill()
        launcher.wait()
        wait_for((run_dir / "state.json").exists, "the state file")
        host.wait_until_gone(host.state(spec).identity)
        assert goodbye(host.journal(spec)).reason == "budget"
        assert (host.root / "current").read_text() == "run-1\n"

    def test_everything_written_is_for_the_owner_only(self, host: RunnerHost) -> None:
        spec = host.spec("echo hello; exit 1", budget_s=0.5)
        host.run(spec)
        run_dir = host.run_dir(spec)
        for path in (*run_dir.rglob("*"), host.root / "current", host.root / "run.lock"):
            if path.name != "spec.json" and run_dir / "tree" not in path.parents:
                assert stat.S_IMODE(path.lstat().st_mode) & 0o077 == 0, path


def test_wrong_usage_says_how_to_call_it(host: RunnerHost) -> None:
    for arguments in ((), ("launch",), ("stop", "x", "--timeout"), ("stop", "x", "--timeout", "y"), ("dance", "x")):
        code, answer, text = host.call(*arguments)
        assert code == 2
        assert answer is None
        assert "usage: runner.pyz" in text


def test_the_state_file_is_plain_json_that_a_shell_can_print(host: RunnerHost) -> None:
    spec = host.spec("true", passes=1)
    host.run(spec)
    assert json.loads((host.run_dir(spec) / "state.json").read_text())["phase"] == "finished"


def test_programs_that_list_units_get_no_variable_of_sltfleet_s_own(
    host: RunnerHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLTFLEET_QUEUE", "redis://:s3cr3t@queue")
    units = CommandUnits(("true",), lines_of=("sh", "-c", "echo one; env | grep ^SLTFLEET_; true"))
    spec = replace(host.spec("true", passes=1), binary="", args=(), units=units)
    code, answer, text = host.call("prepare", str(host.put(spec)))
    assert code == 0, text
    assert isinstance(answer, Prepared)
    assert answer.units == 1
