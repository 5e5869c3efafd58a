"""The poll script runs in a real `sh` on a real project folder; this very test process plays the runner."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sltfleet.core.paths import HostPaths
from sltfleet.core.polling import (
    DONE,
    IDLE,
    LOST,
    MAX_STATE_BYTES,
    RUNNING,
    STALLED,
    STALLED_AFTER_S,
    STOPPED,
    UNREADABLE,
    PollAnswer,
    ProcessStat,
    judge,
    parse_poll,
    parse_stat,
    poll_script,
    status_of,
)
from sltfleet.runner.processes import own_identity
from sltfleet.wire.codec import to_text
from sltfleet.wire.state import FINISHED, Identity, State, identity_to_line
from tests.support.shell import run_script
from tests.support.states import RUN_ID, make_state
from tests.support.waiting import wait_for

OTHER_RUN = "20261123-115959-000000"


class Project:
    """A project's folder on a host, as a runner would leave it."""

    def __init__(self, root: Path) -> None:
        self.paths = HostPaths(str(root), "sample")
        self.folder = root / "sample"
        self.run_dir = self.folder / "runs" / RUN_ID
        self.run_dir.mkdir(parents=True)
        self.set_current(RUN_ID)

    def set_current(self, text: str) -> None:
        (self.folder / "current").write_text(f"{text}\n", encoding="utf-8", errors="surrogateescape")

    def set_identity(self, identity: Identity) -> None:
        (self.run_dir / "identity").write_text(identity_to_line(identity))

    def set_state(self, state: State) -> None:
        (self.run_dir / "state.json").write_text(to_text(state))

    def poll(self, run_id: str | None = None) -> PollAnswer:
        answer = run_script(poll_script(self.paths, run_id))
        assert answer.exit_code == 0, answer
        return parse_poll(answer.stdout)


@pytest.fixture
def project(odd_path: Path) -> Project:
    return Project(odd_path)


def fresh(**changes: object) -> State:
    """A state that has just been written."""
    return make_state(written_wall_s=time.time(), **changes)


@contextmanager
def child(code: str) -> Iterator[subprocess.Popen[str]]:
    """A Python process that is ended with the test."""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def identity_of(pid: int) -> Identity:
    stat = parse_stat(Path(f"/proc/{pid}/stat").read_text())
    assert stat is not None
    return Identity(own_identity().boot_id, pid, stat.start_ticks)


class TestAPollOfARealFolder:
    def test_a_living_runner_with_a_fresh_state_is_running(self, project: Project) -> None:
        project.set_identity(own_identity())
        project.set_state(fresh())
        answer = project.poll()
        assert answer.runner_alive
        assert answer.state is not None
        assert answer.state.units_total == 40
        assert answer.identity == own_identity()
        assert judge(answer) == RUNNING

    def test_a_runner_that_has_not_yet_written_a_state_is_running(self, project: Project) -> None:
        project.set_identity(own_identity())
        assert judge(project.poll()) == RUNNING

    def test_a_runner_that_writes_no_state_any_more_is_stalled(self, project: Project) -> None:
        project.set_identity(own_identity())
        project.set_state(make_state(written_wall_s=time.time() - STALLED_AFTER_S - 5))
        assert judge(project.poll()) == STALLED

    def test_a_pid_that_another_process_has_by_now_is_no_runner(self, project: Project) -> None:
        own = own_identity()
        project.set_identity(Identity(own.boot_id, own.pid, own.start_ticks - 1))
        project.set_state(fresh())
        assert judge(project.poll()) == LOST

    def test_the_same_pid_and_ticks_before_a_reboot_are_no_runner(self, project: Project) -> None:
        own = own_identity()
        project.set_identity(Identity("0000-an-earlier-boot", own.pid, own.start_ticks))
        project.set_state(fresh())
        assert judge(project.poll()) == LOST

    def test_a_zombie_is_no_runner(self, project: Project) -> None:
        with child("pass") as process:
            assert process.stdout is not None
            process.stdout.read()  # its end of the pipe is closed: it has ended, and nobody has reaped it
            wait_for(lambda: " Z " in Path(f"/proc/{process.pid}/stat").read_text())
            project.set_identity(identity_of(process.pid))
            answer = project.poll()
        assert answer.process is not None
        assert answer.process.letter == "Z"
        assert judge(answer) == LOST

    def test_a_runner_that_is_gone_is_lost_and_its_last_state_is_kept(self, project: Project) -> None:
        with child("input()") as process:
            project.set_identity(identity_of(process.pid))
        project.set_state(fresh())
        answer = project.poll()
        assert answer.process is None
        assert judge(answer) == LOST
        assert answer.state is not None

    def test_a_command_name_with_line_ends_and_brackets_misleads_nobody(self, project: Project) -> None:
        name = r"\nstate\n) Z 1"
        code = f"print(open('/proc/self/comm', 'w').write('{name}'), flush=True); import time; time.sleep(60)"
        with child(code) as process:
            assert process.stdout is not None
            process.stdout.readline()
            project.set_identity(identity_of(process.pid))
            project.set_state(fresh())
            assert judge(project.poll()) == RUNNING

    @pytest.mark.parametrize(("reason", "expected"), [("budget", DONE), ("error", DONE), ("stopped", STOPPED)])
    def test_a_run_that_said_goodbye_needs_no_living_runner(self, project: Project, reason: str, expected: str) -> None:
        project.set_identity(Identity("b", 1, 1))
        project.set_state(make_state(phase=FINISHED, reason=reason, active=0))
        assert judge(project.poll()) == expected

    def test_a_torn_state_file_is_a_problem_and_no_verdict_on_the_runner(self, project: Project) -> None:
        project.set_identity(own_identity())
        whole = to_text(fresh())
        (project.run_dir / "state.json").write_text(whole[: len(whole) // 2])
        status = status_of("alpha", project.poll())
        assert (status.condition, status.state) == (RUNNING, None)
        assert "not JSON" in status.problem

    def test_a_state_of_another_run_is_not_believed(self, project: Project) -> None:
        project.set_state(fresh(run_id=OTHER_RUN))
        answer = project.poll()
        assert answer.state is None
        assert "another run" in answer.problem

    def test_a_state_of_a_newer_format_is_told_as_such(self, project: Project) -> None:
        (project.run_dir / "state.json").write_text(to_text(replace(fresh(), format=99)))
        assert "newer sltfleet" in project.poll().problem
        assert judge(project.poll()) == UNREADABLE
        project.set_identity(own_identity())
        assert judge(project.poll()) == RUNNING

    def test_of_an_endless_state_file_only_a_bounded_part_is_read(self, project: Project) -> None:
        with open(project.run_dir / "state.json", "wb") as file:
            file.truncate(MAX_STATE_BYTES * 4)
        output = run_script(poll_script(project.paths, None)).stdout
        assert len(output) < MAX_STATE_BYTES + 1000
        assert "not JSON" in parse_poll(output).problem

    @pytest.mark.parametrize("text", ["", "7", "boot", "boot  9", "boot ../self 9", "boot 7 -9", "boot $(id) 9"])
    def test_a_damaged_identity_is_none(self, project: Project, text: str) -> None:
        (project.run_dir / "identity").write_text(f"{text}\n")
        answer = project.poll()
        assert answer.identity is None
        assert judge(answer) == LOST

    def test_the_runner_s_own_trouble_is_the_problem_that_is_told(self, project: Project) -> None:
        project.set_identity(own_identity())
        project.set_state(fresh(trouble="journal: no space left"))
        assert status_of("alpha", project.poll()).problem == "journal: no space left"

    def test_the_clock_is_the_host_s(self, project: Project) -> None:
        assert abs(project.poll().clock_s - time.time()) < 60


class TestWhichRunIsAsked:
    def test_a_host_without_the_project_is_idle(self, odd_path: Path) -> None:
        answer = run_script(poll_script(HostPaths(str(odd_path / "nothing here"), "sample"), None))
        assert (answer.exit_code, answer.stdout) == (0, "")
        assert judge(parse_poll(answer.stdout)) == IDLE

    def test_a_home_folder_of_any_name_is_found(self, odd_path: Path) -> None:
        Project(odd_path / ".sltfleet")
        answer = run_script(poll_script(HostPaths("~/.sltfleet", "sample"), None), home=odd_path)
        assert parse_poll(answer.stdout).run_id == RUN_ID

    def test_an_older_run_can_be_asked_for(self, project: Project) -> None:
        project.set_current(OTHER_RUN)
        project.set_state(make_state(phase=FINISHED, reason="once"))
        assert judge(project.poll(RUN_ID)) == DONE

    def test_a_folder_that_was_only_prepared_is_no_run(self, project: Project) -> None:
        (project.run_dir / "spec.json").write_text("{}")
        assert judge(project.poll(RUN_ID)) == IDLE
        (project.run_dir / "runner.log").write_text("")
        assert judge(project.poll(RUN_ID)) == LOST

    def test_a_run_that_never_was_on_this_host_is_not_lost(self, project: Project) -> None:
        assert judge(project.poll(OTHER_RUN)) == IDLE

    def test_a_newest_run_that_was_cleaned_away_is_not_lost(self, project: Project) -> None:
        project.set_current(OTHER_RUN)
        assert judge(project.poll()) == IDLE

    @pytest.mark.parametrize("text", ["..", "../runs", ".", "*", "\x1b[2J", "$(touch pwned)", "-n"])
    def test_a_hostile_run_id_is_named_and_never_used(self, project: Project, text: str) -> None:
        (project.folder / "runs" / text.replace("/", "_")).mkdir(exist_ok=True)
        project.set_current(text)
        status = status_of("alpha", project.poll())
        assert (status.condition, status.run_id, status.state) == (IDLE, None, None)
        assert not status.problem or "no run id" in status.problem
        assert not list(project.folder.rglob("pwned"))

    def test_bytes_that_are_no_text_are_survived(self, project: Project) -> None:
        (project.folder / "current").write_bytes(b"\xff\xfe\n")
        (project.folder / "runs" / os.fsdecode(b"\xff\xfe")).mkdir()
        assert "no run id" in project.poll().problem


LINES = st.sampled_from(
    [
        f"run {RUN_ID}",
        "run ²",
        "boot b",
        "clock ²",
        "clock " + "9" * 5000,
        "clock 12",
        "identity b ² ³",
        "identity b 1 " + "9" * 5000,
        "identity b 1 2",
        "stat " + "² " * 30,
        "stat 1 (x) S" + " 1" * 19,
        "stat",
        "state",
        '{"format": 1}',
        "[" * 100_000,
        '{"run_id": ' + "1" * 5000 + "}",
    ]
)


class TestTheParser:
    @given(st.text())
    def test_no_text_makes_it_raise(self, output: str) -> None:
        judge(parse_poll(output))

    @given(st.lists(LINES | st.text(max_size=20), max_size=12))
    def test_no_mix_of_what_a_host_says_and_rubbish_makes_it_raise(self, lines: list[str]) -> None:
        judge(parse_poll("\n".join(lines)))

    @given(st.integers(0, 10**6), st.integers(0, 10**12))
    def test_it_reads_what_a_host_writes(self, clock: int, ticks: int) -> None:
        state = make_state()
        fields = "S " + "0 " * 18 + str(ticks)
        output = (
            f"run {RUN_ID}\nboot b00t\nclock {clock}\nidentity b00t 7 {ticks}\nstat {fields}\nstate\n{to_text(state)}"
        )
        assert parse_poll(output) == PollAnswer(
            RUN_ID, "b00t", float(clock), Identity("b00t", 7, ticks), ProcessStat("S", ticks), state
        )

    def test_numbers_that_no_host_has_are_not_computed_with(self) -> None:
        state = {**json.loads(to_text(make_state())), "workers": 10**400, "elapsed_s": 1e308, "budget_s": -1e308}
        answer = parse_poll(f"run {RUN_ID}\nstate\n{json.dumps(state)}")
        assert answer.state is None
        assert "too large a number" in answer.problem


class TestStat:
    def test_a_line_of_the_kernel_s_is_read(self) -> None:
        stat = parse_stat(Path("/proc/self/stat").read_text())
        assert stat is not None
        assert stat.letter == "R"
        assert stat.start_ticks == own_identity().start_ticks

    @pytest.mark.parametrize("line", ["", "1 (x) S", ")" * 30, "1 (x) S" + " x" * 30])
    def test_anything_else_is_none(self, line: str) -> None:
        assert parse_stat(line) is None
