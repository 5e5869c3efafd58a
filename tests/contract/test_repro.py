"""The runner's `repro` command as a real process, on runs that a real runner has left behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sltfleet.app.archive import runner_archive
from sltfleet.core.paths import HostPaths
from sltfleet.core.repro import repro_script
from sltfleet.runner import repro as repro_module
from sltfleet.runner.locks import is_locked, try_lock
from sltfleet.runner.paths import RunPaths
from sltfleet.transport.local import LocalTransport
from sltfleet.wire.events import AttemptFinished, AttemptStarted
from sltfleet.wire.handshake import Refused
from sltfleet.wire.repro import (
    Described,
    NotReproduced,
    ReproAnswer,
    Reproduced,
    ReproRequest,
    answer_of_line,
    request_to_text,
)
from sltfleet.wire.spec import CommandUnits, JsonVerdict, Limits, Spec, UnitHistory
from tests.contract.runner_host import UNITS, RunnerHost, finished, of
from tests.support.waiting import PATIENCE_S, wait_for

MARK = "@mark@"
TELL = 'echo "$1|$UNIT|$WORKER|$SEED|$PWD|$CARGO_MANIFEST_DIR|$LD_LIBRARY_PATH|$SLTFLEET_ATTEMPT" >> "$LOG"; '


def request_for(spec: Spec, event: AttemptFinished, **changes: object) -> ReproRequest:
    plain = ReproRequest(
        attempt=event.attempt,
        unit=event.unit,
        worker=event.worker,
        pass_number=event.pass_number,
        seed=event.seed,
        remaining_s=10.0,
        build_digest=spec.build_digest,
        mark=MARK,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def repro(host: RunnerHost, spec: Spec, request: ReproRequest) -> tuple[int, list[str], list[ReproAnswer]]:
    """Return the exit code, what the attempts printed, and the answers."""
    done = subprocess.run(
        host.command("repro", str(host.run_dir(spec)), request_to_text(request)),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert not done.stderr, done.stderr
    lines = [(line, answer_of_line(MARK, line)) for line in done.stdout.splitlines()]
    return done.returncode, [line for line, answer in lines if not answer], [answer for _, answer in lines if answer]


def test_an_attempt_finds_everything_as_it_was_in_the_run(host: RunnerHost) -> None:
    spec = host.spec(
        f'{TELL}echo "says $1"; printf "no end"; exit 7',
        passes=1,
        env={"LOG": str(host.log), "UNIT": "{unit}", "WORKER": "{worker} of {workers}", "SEED": "{seed}"},
        workdir="per-worker",
    )
    event = finished(host.run(spec))[1]
    (as_it_was,) = [line for line in host.log_lines() if line.startswith(f"{event.unit}|")]
    host.log.unlink()
    code, printed, answers = repro(host, spec, request_for(spec, event, times=2))
    assert code == 0
    assert printed == [f"says {event.unit}", "no end"] * 2
    assert host.log_lines() == [as_it_was] * 2
    for number, answer in enumerate(answers, 1):
        assert isinstance(answer, Reproduced)
        assert (answer.number, answer.outcome, answer.exit_code) == (number, "fail", 7)
        assert answer.message == event.message == "exit code 7"


def test_a_run_of_no_executable_knows_its_units_from_what_was_listed_then(host: RunnerHost) -> None:
    plain = host.spec("exit 1", passes=1)
    listing = host.repo / "list"
    listing.write_text("one\ntwo words\n")
    units = CommandUnits(("sh", "-c", 'echo "$0"; exit 3', "{unit}"), lines_of=("cat", str(listing)))
    spec = replace(plain, binary="", args=(), units=units)
    event = next(event for event in finished(host.run(spec)) if event.unit == "two words")
    listing.unlink()
    code, printed, (answer,) = repro(host, spec, request_for(spec, event))
    assert (code, printed) == (0, ["two words"])
    assert isinstance(answer, Reproduced)
    assert (answer.outcome, answer.exit_code) == ("fail", 3)


def test_the_verdict_is_read_as_in_the_run(host: RunnerHost) -> None:
    script = """mkdir -p target; echo '{"ok": [], "bad": ["x"], "why": {"x": "boom"}}' > "target/r$WORKER.json" """
    rule = JsonVerdict("target/r{worker}.json", "ok", "bad", "why")
    spec = host.spec(script, passes=1, verdict=rule, workdir="per-worker")
    event = finished(host.run(spec))[0]
    _, _, (answer,) = repro(host, spec, request_for(spec, event))
    assert isinstance(answer, Reproduced)
    assert (answer.outcome, answer.message, answer.exit_code) == ("fail", "boom", 0)


def test_what_takes_too_long_is_ended_with_all_that_it_started(host: RunnerHost) -> None:
    spec = host.spec("exit 0", passes=1)
    event = finished(host.run(spec))[0]
    script = "#!/bin/sh\ntrap '' TERM\nsleep 300 &\nsetsid sleep 300 &\necho on my way\nwait; wait; sleep 300\n"
    (host.run_dir(spec) / "bin" / host.binary.name).write_text(script)
    spec_path = host.run_dir(spec) / "spec.json"
    spec_path.write_text(spec_path.read_text().replace('"timeout_s":20.0', '"timeout_s":4.0'))
    code, printed, (answer,) = repro(host, spec, request_for(spec, event))
    assert code == 0
    assert printed == ["on my way"]
    assert isinstance(answer, Reproduced)
    assert (answer.outcome, answer.message) == ("timeout", "timed out after 4 s")
    wait_for(lambda: not host.attempts_of(spec.run_id), "the end of what it started")


def test_what_has_left_its_process_group_is_ended_when_it_takes_too_long(host: RunnerHost) -> None:
    spec = host.spec("exit 0", passes=1)
    event = finished(host.run(spec))[0]
    script = f"#!{sys.executable}\nimport os, time\nos.setpgid(0, os.getpgid(os.getppid()))\ntime.sleep(300)\n"
    (host.run_dir(spec) / "bin" / host.binary.name).write_text(script)
    code, _, (answer,) = repro(host, spec, request_for(spec, event, timeout_s=2.0))
    assert code == 0
    assert isinstance(answer, Reproduced)
    assert (answer.outcome, answer.message) == ("timeout", "timed out after 2 s")


def test_the_timeout_is_the_attempt_s_own_and_never_more_than_the_suite_allows(host: RunnerHost) -> None:
    limits = Limits(timeout_s=20.0, timeout_factor=2.0, timeout_floor_s=3.0, kill_after_s=0.3)
    history = {unit: UnitHistory(2, 0.1, 0.1) for unit in UNITS}
    spec = host.spec('echo "$LIMIT"; exit 1', passes=1, env={"LIMIT": "{timeout} s"}, limits=limits, history=history)
    journal = host.run(spec)
    event, started = finished(journal)[0], of(journal, AttemptStarted)[0]
    assert started.timeout_s == 3.0
    assert repro(host, spec, request_for(spec, event, timeout_s=started.timeout_s))[1] == ["3 s"]
    assert repro(host, spec, request_for(spec, event))[1] == ["20 s"], "an older journal does not tell"
    (host.run_dir(spec) / "bin" / host.binary.name).write_text('#!/bin/sh\necho "$LIMIT"; exec sleep 60\n')
    for asked_s, seen, limit in ((2.6, "2 s", "2.6 s"), (1000.0, "1000 s", "2 s")):
        _, printed, (answer,) = repro(host, spec, request_for(spec, event, timeout_s=asked_s))
        assert isinstance(answer, Reproduced)
        assert (printed, answer.outcome, answer.message) == ([seen], "timeout", f"timed out after {limit}")
        spec_path = host.run_dir(spec) / "spec.json"
        spec_path.write_text(spec_path.read_text().replace('"timeout_s":20.0', '"timeout_s":2.0'))


def test_a_worker_that_this_host_never_had_gets_a_folder(host: RunnerHost) -> None:
    spec = host.spec(TELL, passes=1, workdir="per-worker")
    event = finished(host.run(spec))[0]
    code, _, (answer,) = repro(host, spec, request_for(spec, event, worker=17))
    assert (code, isinstance(answer, Reproduced)) == (0, True)
    assert "/workers/17/" in host.log_lines()[-1]


def test_it_is_described_without_being_run(host: RunnerHost) -> None:
    spec = host.spec(TELL, passes=1)
    event = finished(host.run(spec))[0]
    before = host.log_lines()
    code, printed, (answer,) = repro(host, spec, request_for(spec, event, describe=True))
    assert (code, printed) == (0, [])
    assert isinstance(answer, Described)
    assert answer.argv == (str(host.run_dir(spec) / "bin" / host.binary.name), event.unit)
    assert answer.folder == str(host.run_dir(spec) / "tree" / "crates" / "my pkg")
    assert (answer.env["UNIT"], answer.env["CARGO_MANIFEST_DIR"]) == (event.unit, answer.folder)
    assert not [name for name in answer.env if name.startswith("SLTFLEET_")]
    assert host.log_lines() == before


def test_what_cannot_be_run_again_says_why(host: RunnerHost) -> None:
    spec = host.spec(TELL, passes=1)
    event = finished(host.run(spec))[0]
    refusals = {
        "another build": request_for(spec, event, build_digest="0" * 64),
        "no unit": request_for(spec, event, unit="gone.test"),
    }
    for words, request in refusals.items():
        code, _, (answer,) = repro(host, spec, request)
        assert isinstance(answer, NotReproduced)
        assert code == 3
        assert words in answer.message
        assert not answer.gone
    shutil.rmtree(host.run_dir(spec) / "tree")
    _, _, (answer,) = repro(host, spec, request_for(spec, event))
    assert isinstance(answer, NotReproduced)
    assert answer.gone
    shutil.rmtree(host.run_dir(spec))
    _, _, (answer,) = repro(host, spec, request_for(spec, event))
    assert isinstance(answer, NotReproduced)
    assert answer.gone


def test_a_run_that_is_still_active_is_not_disturbed(host: RunnerHost) -> None:
    spec = host.spec("sleep 0.1", budget_s=200.0)
    host.launch(spec)
    wait_for(lambda: bool(finished(host.journal(spec))), "an attempt")
    event = finished(host.journal(spec))[0]
    code, _, (answer,) = repro(host, spec, request_for(spec, event))
    assert isinstance(answer, NotReproduced)
    assert code == 3
    assert "still active" in answer.message
    host.stop(spec)
    assert repro(host, spec, request_for(spec, event))[0] == 0


def test_a_run_that_is_resumed_at_the_very_moment_is_not_disturbed_either(
    host: RunnerHost, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = host.spec("true", passes=1)
    event = finished(host.run(spec))[0]
    held: list[int] = []

    def lock_while_a_runner_begins(path: str) -> int | None:
        held.extend(fd for fd in (try_lock(str(host.root / "run.lock")),) if fd is not None)
        return try_lock(path)

    monkeypatch.setattr(repro_module, "try_lock", lock_while_a_runner_begins)
    try:
        assert repro_module.repro(str(host.run_dir(spec)), request_for(spec, event)) == 3
    finally:
        for fd in held:
            os.close(fd)
    assert "is still active here" in capsys.readouterr().out
    assert not is_locked(RunPaths(str(host.run_dir(spec))).repro_lock)


def test_while_an_attempt_is_run_again_the_run_is_not_resumed(host: RunnerHost) -> None:
    spec = host.spec("sleep 60", budget_s=300.0)
    host.launch(spec)
    host.stop(spec)
    lock = try_lock(RunPaths(str(host.run_dir(spec))).repro_lock)
    assert lock is not None
    try:
        code, answer, _ = host.call("resume", str(host.run_dir(spec)))
    finally:
        os.close(lock)
    assert isinstance(answer, Refused)
    assert (code, answer.problem) == (3, "active")
    assert host.call("resume", str(host.run_dir(spec)))[0] == 0, "now it may"


def test_a_request_that_makes_no_sense_is_wrong_usage(host: RunnerHost) -> None:
    for words in (["repro"], ["repro", "/x", "{}"], ["repro", "/x", "["], ["repro", "/x", "{}", "--watch", "x"]):
        code, _, text = host.call(*words)
        assert code == 2, text


def test_the_attempt_ends_when_the_controller_goes_away(host: RunnerHost) -> None:
    spec = host.spec("exit 0", passes=1)
    event = finished(host.run(spec))[0]
    (host.run_dir(spec) / "bin" / host.binary.name).write_text("#!/bin/sh\necho begun\nsleep 300\n")
    archive = runner_archive()
    paths = HostPaths(str(host.root.parent), host.root.name)
    request = request_for(spec, event)
    script = repro_script(paths, spec.run_id, archive, request)

    def goes_away(line: str) -> None:
        if line == "begun":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        LocalTransport("here").run(script, timeout_s=PATIENCE_S, on_line=goes_away)
    wait_for(lambda: not host.attempts_of(spec.run_id), "the end of the attempt")
    lock = Path(host.run_dir(spec), "repro.lock")
    wait_for(lambda: subprocess.run(["flock", "-n", str(lock), "true"], check=False).returncode == 0, "the lock")
