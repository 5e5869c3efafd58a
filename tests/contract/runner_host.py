"""Drives the real zipapp in a temporary project, as the controller does over SSH."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from sltfleet.app.archive import runner_archive
from sltfleet.runner.processes import is_alive, marked
from sltfleet.wire.codec import to_text
from sltfleet.wire.events import AttemptFinished, Event, RunFinished, event_from_line
from sltfleet.wire.handshake import Answer, Launched, Stopped, answer_from_output
from sltfleet.wire.spec import ExitCodeVerdict, FileUnits, Limits, Spec, spec_from_json
from sltfleet.wire.state import Identity, State, identity_from_line, state_from_json
from tests.support.waiting import PATIENCE_S, wait_for

E = TypeVar("E")

UNITS = ("a.test", "sub dir/b 'q' ü.test", "sub dir/c$x.test")


class RunnerHost:
    """A project on a "host": repo, test executable, runs."""

    def __init__(self, base: Path) -> None:
        self.root = base / "projéct root"
        self.repo = self.root / "repo"
        self.package = self.repo / "crates" / "my pkg"
        self.package.mkdir(parents=True)
        (self.package / "data.txt").write_text("from the repo")
        for unit in UNITS:
            path = self.repo / "corpus" / unit
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(unit)
        self.binary = base / "target" / "deps" / "suite-0123"
        self.binary.parent.mkdir(parents=True)
        archive = runner_archive()
        self.archive = self.root / archive.name
        self.archive.write_bytes(archive.data)
        self.log = base / "attempts.log"
        self._runs: list[str] = []
        self._pids: list[int] = []

    def spec(self, script: str, **changes: object) -> Spec:
        """A spec whose executable is a shell script; `$LOG` in it is a file that the test can read."""
        self.binary.write_text(f"#!/bin/sh\n{script}\n")
        self.binary.chmod(0o755)
        spec = Spec(
            run_id="run-1",
            project="p",
            host="h",
            suite="s",
            project_root=str(self.root),
            repo=str(self.repo),
            package_dir="crates/my pkg",
            binary=str(self.binary),
            build_digest=hashlib.sha256(self.binary.read_bytes()).hexdigest(),
            args=("{unit}",),
            env={"LOG": str(self.log), "UNIT": "{unit}", "WORKER": "{worker}", "BRACE": "{{}}"},
            units=FileUnits("corpus", ("**/*.test",)),
            verdict=ExitCodeVerdict(),
            workers=2,
            # By its passes a run comes to an end as soon as it can; the budget is for a machine that is slow.
            budget_s=200.0 if changes.get("passes") else 1.0,
            seed=5,
            limits=Limits(timeout_s=20.0, kill_after_s=0.3),
        )
        return spec_from_json(json.loads(to_text(replace(spec, **changes))))  # type: ignore[arg-type]

    def run_dir(self, spec: Spec) -> Path:
        return self.root / "runs" / spec.run_id

    def put(self, spec: Spec) -> Path:
        run_dir = self.run_dir(spec)
        run_dir.mkdir(parents=True)
        (run_dir / "spec.json").write_text(to_text(spec))
        self._runs.append(spec.run_id)
        return run_dir

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-S", "-E", str(self.archive), *arguments]

    def call(self, *arguments: str) -> tuple[int, Answer | None, str]:
        done = subprocess.run(
            self.command(*arguments), capture_output=True, text=True, timeout=PATIENCE_S, stdin=subprocess.DEVNULL
        )
        return done.returncode, answer_from_output(done.stdout), done.stdout + done.stderr

    def launch(self, spec: Spec) -> Launched:
        """Launch a run that must start."""
        code, answer, text = self.call("launch", str(self.put(spec)))
        assert isinstance(answer, Launched), text
        assert code == 0
        self._pids.append(answer.identity.pid)
        return answer

    def run(self, spec: Spec) -> list[Event]:
        """Launch, wait for the end, and return the journal."""
        launched = self.launch(spec)
        self.wait_until_gone(launched.identity)
        return self.journal(spec)

    def wait_until_gone(self, identity: Identity) -> None:
        wait_for(lambda: not is_alive(identity), "the runner's end")

    def stop(self, spec: Spec, *more: str) -> Stopped:
        code, answer, text = self.call("stop", str(self.run_dir(spec)), *more)
        assert code == 0, text
        assert isinstance(answer, Stopped), text
        return answer

    def journal(self, spec: Spec) -> list[Event]:
        with open(self.run_dir(spec) / "journal.jsonl", "rb") as file:
            return [event_from_line(line) for line in file if line.endswith(b"\n")]  # the last may be under way

    def state(self, spec: Spec) -> State:
        return state_from_json(json.loads((self.run_dir(spec) / "state.json").read_text()))

    def attempts_of(self, run_id: str) -> list[int]:
        """The living processes of a run's attempts."""
        return marked(str(self.root / "runs" / run_id))

    def log_lines(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    def end_everything(self) -> None:
        """SIGKILL the runners and whatever bears their marks."""
        for run_id in self._runs:
            with contextlib.suppress(OSError):
                identity = identity_from_line((self.root / "runs" / run_id / "identity").read_text())
                if identity is not None and is_alive(identity):
                    os.kill(identity.pid, signal.SIGKILL)
        for run_id in self._runs:
            for pid in self.attempts_of(run_id):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def finished(events: list[Event]) -> list[AttemptFinished]:
    return [event for event in events if isinstance(event, AttemptFinished)]


def of(events: list[Event], kind: type[E]) -> list[E]:
    return [event for event in events if isinstance(event, kind)]


def goodbye(events: list[Event]) -> RunFinished:
    """The journal's last line, which must be a goodbye."""
    assert isinstance(events[-1], RunFinished)
    return events[-1]
