"""The script that resumes runs in a real `sh`, and what its answers mean."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sltfleet.core.errors import HostError, RunError
from sltfleet.core.paths import HostPaths
from sltfleet.core.resuming import NothingToResume, read_resume, resume_script
from sltfleet.wire.handshake import Launched, Refused, Stopped, answer_to_line
from sltfleet.wire.state import Identity
from tests.support.launching import ARCHIVE, Host
from tests.support.shell import run_script
from tests.support.states import RUN_ID

LAUNCHED = Launched(Identity("b", 7, 9), RUN_ID, workers=2, units=40, python="3.11.2", elapsed_s=12.5)


def test_the_runner_is_called_with_the_run_s_folder_and_its_answer_comes_back(odd_path: Path) -> None:
    host = Host(odd_path)
    host.run_dir.mkdir(parents=True)
    host.will_say("a banner\n" + answer_to_line(LAUNCHED))
    answer = run_script(resume_script(host.paths, RUN_ID, ARCHIVE))
    assert read_resume(RUN_ID, answer.exit_code, answer.stdout, answer.stderr) == LAUNCHED
    assert [json.loads(line) for line in (host.folder / "calls").read_text().splitlines()] == [
        ["resume", str(host.run_dir)]
    ]


def test_a_host_without_the_run_has_nothing_to_resume_and_nothing_is_written_there(odd_path: Path) -> None:
    answer = run_script(resume_script(HostPaths(str(odd_path), "sample"), RUN_ID, ARCHIVE))
    assert read_resume(RUN_ID, answer.exit_code, answer.stdout, answer.stderr) == NothingToResume("no such run there")
    assert list(odd_path.iterdir()) == []


def refusal(problem: str, run_id: str = "") -> str:
    return answer_to_line(Refused(problem, "what it says", "what to do", run_id))


def test_a_run_that_goes_on_or_came_to_its_end_is_no_error() -> None:
    assert read_resume(RUN_ID, 3, refusal("finished"), "") == NothingToResume("what it says")
    found = read_resume(RUN_ID, 3, refusal("active", RUN_ID), "")
    assert isinstance(found, NothingToResume)
    assert found.running


@pytest.mark.parametrize("line", [refusal("active", "another run"), refusal("start"), refusal("tree")])
def test_a_lost_run_that_cannot_be_resumed_is_an_error_with_the_runner_s_words(line: str) -> None:
    with pytest.raises(RunError) as caught:
        read_resume(RUN_ID, 3, line, "")
    assert (caught.value.why, caught.value.fix) == ("what it says", "what to do")


def test_no_answer_and_one_to_another_question_are_errors() -> None:
    with pytest.raises(HostError, match="python3"):
        read_resume(RUN_ID, 69, "", "")
    with pytest.raises(RunError, match="another question"):
        read_resume(RUN_ID, 0, answer_to_line(Stopped(RUN_ID, was_running=True)), "")
