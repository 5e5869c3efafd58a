"""The launch and stop scripts run in a real `sh`, with a small Python script in the place of the runner's zipapp."""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sltfleet.core.errors import ActiveRunError, FleetError, HostError, RunError
from sltfleet.core.launching import (
    escape_template,
    launch_script,
    read_launch,
    read_prepare,
    read_stop,
)
from sltfleet.wire.handshake import Launched, Prepared, Refused, Stopped, answer_to_line
from sltfleet.wire.state import Identity
from sltfleet.wire.template import expand_template
from tests.support.launching import ARCHIVE, DIGEST, RUNNER, SPEC, Host
from tests.support.shell import run_script
from tests.support.states import RUN_ID

LAUNCHED = Launched(Identity("b", 7, 9), RUN_ID, workers=2, units=40, python="3.11.2")
PREPARED = Prepared(RUN_ID, workers=2, units=40, units_digest="d1")
STOPPED = Stopped(RUN_ID, was_running=True)


@pytest.fixture
def host(odd_path: Path) -> Host:
    return Host(odd_path)


class TestLaunch:
    def test_the_runner_gets_the_spec_and_its_answer_comes_back(self, host: Host) -> None:
        host.will_say("a banner\n" + answer_to_line(LAUNCHED))
        answer = host.launch()
        assert read_launch(answer.exit_code, answer.stdout, answer.stderr) == LAUNCHED
        assert host.calls() == [["launch", str(host.run_dir)]]
        assert (host.run_dir / "spec.json").read_bytes() == SPEC

    def test_what_it_writes_is_for_this_user_only(self, host: Host) -> None:
        host.will_say(answer_to_line(LAUNCHED))
        host.launch()
        for path in (host.run_dir, host.run_dir / "spec.json", host.archive):
            assert path.stat().st_mode & 0o077 == 0

    def test_a_runner_that_is_there_already_is_not_written_again(self, host: Host) -> None:
        host.will_say(answer_to_line(LAUNCHED))
        host.launch()
        before = host.archive.stat().st_mtime_ns
        shutil.rmtree(host.run_dir)
        host.launch()
        assert host.archive.stat().st_mtime_ns == before
        assert list(host.archive.parent.iterdir()) == [host.archive]

    @pytest.mark.parametrize("content", [b"", RUNNER[:50], b"raise SystemExit(66)"])
    def test_a_damaged_runner_is_replaced_before_it_is_run(self, host: Host, content: bytes) -> None:
        host.archive.parent.mkdir()
        host.archive.write_bytes(content)
        host.will_say(answer_to_line(LAUNCHED))
        assert host.launch().exit_code == 0
        assert host.archive.read_bytes() == RUNNER

    def test_a_runner_that_does_not_arrive_whole_is_never_run(self, host: Host) -> None:
        host.will_say(answer_to_line(LAUNCHED))
        answer = host.launch(("runner-0123.pyz", DIGEST, RUNNER[:-1]))
        with pytest.raises(RunError, match="does not have the content"):
            read_launch(answer.exit_code, answer.stdout, answer.stderr)
        assert host.calls() == []

    def test_a_folder_that_cannot_be_made_is_an_error_with_the_reason(self, host: Host) -> None:
        (host.folder / "bin").write_text("a file in the way")
        answer = host.launch()
        with pytest.raises(RunError, match="cannot write the run's folder"):
            read_launch(answer.exit_code, answer.stdout, answer.stderr)

    def test_a_refused_launch_leaves_no_folder_so_that_the_id_may_be_launched_again(self, host: Host) -> None:
        host.will_say(answer_to_line(Refused("active", "run X is active", run_id="X")), 3)
        assert host.launch().exit_code == 3
        assert not host.run_dir.exists()
        host.will_say(answer_to_line(LAUNCHED))
        answer = host.launch()
        assert read_launch(answer.exit_code, answer.stdout, answer.stderr) == LAUNCHED

    def test_a_refused_launch_keeps_what_explains_it(self, host: Host) -> None:
        explains = b"import os, sys\nopen(os.path.join(sys.argv[2], 'runner.log'), 'w').write('why')\nsys.exit(3)\n"
        host.launch(("explains.pyz", hashlib.sha256(explains).hexdigest(), explains))
        assert (host.run_dir / "runner.log").read_text() == "why"
        assert (host.run_dir / "spec.json").exists()

    def test_a_run_of_the_same_id_is_not_overwritten(self, host: Host) -> None:
        host.will_say(answer_to_line(LAUNCHED))
        host.launch()
        (host.run_dir / "spec.json").write_text("the first")
        assert host.launch().exit_code == 73
        assert (host.run_dir / "spec.json").read_text() == "the first"

    def test_a_host_whose_python_is_a_broken_shim_still_launches(self, host: Host, tmp_path: Path) -> None:
        shim = tmp_path / "bin" / "python3"
        shim.parent.mkdir()
        shim.write_text("#!/bin/sh\nexit 127\n")
        shim.chmod(0o755)
        host.will_say(answer_to_line(LAUNCHED))
        if not Path("/usr/bin/python3").exists() and not Path("/usr/local/bin/python3").exists():
            pytest.skip("this machine has no python3 of its own")
        assert host.launch(path=f"{shim.parent}{os.pathsep}{os.environ['PATH']}").exit_code == 0


class TestTwoPhases:
    @pytest.fixture
    def prepared(self, host: Host) -> Host:
        host.will_say(answer_to_line(PREPARED))
        answer = host.prepare()
        assert read_prepare(answer.exit_code, answer.stdout, answer.stderr) == PREPARED
        (host.run_dir / "prepared.json").write_text("by the runner")
        return host

    def test_what_was_prepared_is_launched_with_its_share_for_this_user_s_eyes_only(self, prepared: Host) -> None:
        prepared.will_say(answer_to_line(LAUNCHED))
        answer = prepared.launch_prepared(b'{"secret": 1}')
        assert read_launch(answer.exit_code, answer.stdout, answer.stderr) == LAUNCHED
        assert prepared.calls() == [[word, str(prepared.run_dir)] for word in ("prepare", "launch")]
        share = prepared.run_dir / "share.json"
        assert (share.read_bytes(), share.stat().st_mode & 0o777) == (b'{"secret": 1}', 0o600)

    def test_without_a_share_there_is_no_such_file(self, prepared: Host) -> None:
        prepared.will_say(answer_to_line(LAUNCHED))
        assert prepared.launch_prepared(None).exit_code == 0
        assert not (prepared.run_dir / "share.json").exists()

    def test_a_launch_in_one_round_trip_may_have_a_share_too(self, host: Host) -> None:
        host.will_say(answer_to_line(LAUNCHED))
        assert run_script(launch_script(host.paths, RUN_ID, ARCHIVE, SPEC, b"{}")).exit_code == 0
        assert (host.run_dir / "share.json").read_bytes() == b"{}"

    @pytest.mark.parametrize("phase", ["prepare", "launch"])
    def test_a_refusal_in_either_phase_leaves_no_folder(self, prepared: Host, phase: str) -> None:
        if phase == "prepare":
            shutil.rmtree(prepared.run_dir)
        prepared.will_say(answer_to_line(Refused("active", "run X is active", run_id="X")), 3)
        answer = prepared.prepare() if phase == "prepare" else prepared.launch_prepared(b"{}")
        with pytest.raises(ActiveRunError):
            (read_prepare if phase == "prepare" else read_launch)(answer.exit_code, answer.stdout, answer.stderr)
        assert not prepared.run_dir.exists()

    def test_a_folder_that_is_gone_by_then_is_not_launched(self, prepared: Host) -> None:
        shutil.rmtree(prepared.run_dir)
        answer = prepared.launch_prepared(b"{}")
        with pytest.raises(RunError, match="is gone"):
            read_launch(answer.exit_code, answer.stdout, answer.stderr)

    def test_a_runner_that_changed_between_the_phases_is_not_run(self, prepared: Host) -> None:
        prepared.archive.write_bytes(b"raise SystemExit(66)")
        answer = prepared.launch_prepared(b"{}")
        with pytest.raises(RunError, match="not what it was"):
            read_launch(answer.exit_code, answer.stdout, answer.stderr)


class TestStop:
    def test_the_newest_run_is_stopped_where_none_is_named(self, host: Host) -> None:
        host.run_dir.mkdir(parents=True)
        (host.folder / "current").write_text(f"{RUN_ID}\n")
        host.will_say(answer_to_line(STOPPED))
        answer = host.stop(None)
        assert read_stop(answer.exit_code, answer.stdout, answer.stderr) == STOPPED
        assert host.calls() == [["stop", str(host.run_dir), "--timeout", "1.5"]]

    def test_a_run_that_is_named_is_stopped(self, host: Host) -> None:
        host.run_dir.mkdir(parents=True)
        host.will_say(answer_to_line(STOPPED))
        assert host.stop(RUN_ID).exit_code == 0
        assert host.calls() == [["stop", str(host.run_dir), "--timeout", "1.5"]]

    @pytest.mark.parametrize("current", [None, "", "\n", f"{RUN_ID}\n"])
    def test_where_there_is_no_run_nothing_is_called_and_nothing_written(self, host: Host, current: str | None) -> None:
        (host.folder / "runs").mkdir()
        if current is not None:
            (host.folder / "current").write_text(current)
        answer = host.stop(None)
        assert read_stop(answer.exit_code, answer.stdout, answer.stderr) is None
        assert host.calls() == []
        assert not host.archive.exists()


class TestAnswers:
    def test_an_active_run_is_an_error_of_its_own_that_names_it_and_the_way_out(self) -> None:
        line = answer_to_line(Refused("active", "run X is active", run_id="X"))
        with pytest.raises(ActiveRunError) as caught:
            read_launch(3, line, "")
        assert caught.value.why == "X"
        assert "--replace" in caught.value.fix

    def test_any_other_refusal_keeps_the_runner_s_words(self) -> None:
        line = answer_to_line(Refused("no-units", "no unit matches", "check units"))
        with pytest.raises(RunError) as caught:
            read_launch(3, line, "")
        assert not isinstance(caught.value, ActiveRunError)
        assert (caught.value.why, caught.value.fix) == ("no unit matches", "check units")

    def test_a_host_without_python_is_told_how_to_get_it(self) -> None:
        with pytest.raises(HostError, match="python3 is missing") as caught:
            read_launch(69, "", "python3 3.8 or newer is missing\n")
        assert "sltfleet setup" in caught.value.fix

    def test_what_a_host_said_instead_of_an_answer_is_the_detail(self) -> None:
        with pytest.raises(RunError) as caught:
            read_launch(126, "", "sh: cannot execute binary file\n")
        assert caught.value.detail == "sh: cannot execute binary file"

    def test_an_answer_to_another_question_is_no_answer(self) -> None:
        with pytest.raises(RunError, match="cannot start the runner"):
            read_launch(0, answer_to_line(STOPPED), "")
        with pytest.raises(RunError, match="cannot stop the run"):
            read_stop(0, answer_to_line(LAUNCHED), "")

    @given(st.integers(0, 255), st.text() | st.text().map("@sltfleet-handshake@ {}".format), st.text())
    def test_whatever_a_host_says_is_an_answer_or_an_error_for_people(self, code: int, out: str, err: str) -> None:
        for read in (read_prepare, read_launch, read_stop):
            with suppress(FleetError):
                assert isinstance(read(code, out, err), (Prepared, Launched, Stopped, type(None)))


@given(st.dictionaries(st.text(), st.text()))
def test_an_escaped_value_stands_for_itself(values: dict[str, str]) -> None:
    assert {name: expand_template(text, {}) for name, text in escape_template(values).items()} == values
