from __future__ import annotations

import json
from pathlib import Path

import pytest

from sltfleet.app import watch as watch_module
from sltfleet.app.fleet import HostResults
from sltfleet.app.run import StartedRun
from sltfleet.cli.options import JSON
from sltfleet.cli.running import come_back, conclude, finish_build, watch, watch_run
from sltfleet.core.errors import BuildError, ConnectError, ExitCode
from sltfleet.core.polling import DONE, IDLE, LOST, STOPPED, UNREACHABLE, HostStatus
from sltfleet.report.live import WatchDisplay
from sltfleet.wire.handshake import Launched
from sltfleet.wire.state import FINISHED
from tests.support.local_fleet import local_fleet
from tests.support.states import RUN_ID, make_state, poll_output
from tests.support.transports import ScriptedTransport, answer


def ended(condition: str, outcomes: dict[str, int] | None = None, *, reason: str = "budget") -> HostStatus:
    state = make_state(phase=FINISHED, reason=reason, active=0, outcomes=outcomes or {"pass": 9})
    return HostStatus("alpha", condition, RUN_ID, state)


class TestHowARunEnded:
    @pytest.mark.parametrize(
        ("statuses", "expected"),
        [
            ([ended(DONE, {"pass": 9, "cut": 2, "skip": 1})], ExitCode.OK),
            ([ended(DONE), ended(DONE, {"fail": 1})], ExitCode.TESTS_FAILED),
            ([ended(DONE, {"timeout": 1})], ExitCode.TESTS_FAILED),
            ([ended(STOPPED, reason="stopped")], ExitCode.OK),
            ([ended(DONE, reason="error")], ExitCode.RUN),
            ([ended(DONE, {"fail": 1}), HostStatus("beta", LOST, RUN_ID)], ExitCode.HOST),
            ([ended(DONE), HostStatus("beta", UNREACHABLE, RUN_ID)], ExitCode.HOST),
            ([ended(DONE), HostStatus("beta", IDLE)], ExitCode.HOST),
        ],
    )
    def test_the_exit_code_tells_the_worst_of_it(self, statuses: list[HostStatus], expected: ExitCode) -> None:
        assert conclude(statuses, RUN_ID) == expected

    def test_the_table_is_the_result_and_everything_else_goes_to_standard_error(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        conclude([HostStatus("alpha", LOST, RUN_ID, make_state(), "its disk is full")], RUN_ID)
        out, err = capsys.readouterr()
        assert out.splitlines()[0].startswith("host ")
        assert err.splitlines()[0] == "alpha: its disk is full"
        assert "sltfleet fetch" in err

    def test_in_json_it_is_what_status_says(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert conclude([ended(DONE, {"fail": 1})], RUN_ID, JSON) == ExitCode.TESTS_FAILED
        value = json.loads(capsys.readouterr().out)
        assert (value["run"], value["hosts"][0]["outcomes"]) == (RUN_ID, {"fail": 1})

    def test_a_run_that_was_left_says_how_to_come_back_and_is_not_taken_for_one_that_passed(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert conclude(None, RUN_ID) == ExitCode.INTERRUPTED
        assert capsys.readouterr() == ("", come_back(RUN_ID) + "\n")
        assert RUN_ID in come_back(RUN_ID)


class TestWatching:
    def test_it_ends_with_the_last_statuses(self, tmp_path: Path) -> None:
        output = poll_output(make_state(phase=FINISHED, reason="once"), alive=False)
        transport = ScriptedTransport("alpha", lambda _script: answer(output))
        fleet = local_fleet(tmp_path, {"alpha": "/nowhere"}, {"alpha": transport})
        statuses = watch_run(fleet, RUN_ID, "run")
        assert [status.condition for status in statuses] == [DONE]

    def test_ctrl_c_leaves_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupted(*_args: object) -> None:
            raise KeyboardInterrupt

        transport = ScriptedTransport("alpha", lambda _script: answer(poll_output(make_state())))
        fleet = local_fleet(tmp_path, {"alpha": "/nowhere"}, {"alpha": transport})
        monkeypatch.setattr(WatchDisplay, "show", interrupted)
        monkeypatch.setattr(watch_module, "POLL_INTERVAL_S", 0.01)
        launched = Launched(make_state().identity, RUN_ID, workers=1, units=1, python="3.11")
        assert watch(fleet, StartedRun(RUN_ID, "all", 1, 60.0, HostResults({"alpha": launched}))) is None


class TestErrorsOfAFanOut:
    def test_each_is_shown_once_with_all_hosts_that_have_it(self, capsys: pytest.CaptureFixture[str]) -> None:
        same = [BuildError("the build failed", detail="error[E0308]", host=host) for host in ("alpha", "beta")]
        errors = {"alpha": same[0], "gamma": ConnectError("cannot connect", host="gamma"), "beta": same[1]}
        assert finish_build(HostResults({}, dict(errors))) == ExitCode.BUILD
        said = capsys.readouterr().err
        assert said.count("E0308") == 1
        assert "error: alpha, beta: the build failed" in said
        assert "error: gamma: cannot connect" in said

    def test_without_any_the_code_is_0(self) -> None:
        assert finish_build(HostResults({"alpha": 1}, {})) == ExitCode.OK
