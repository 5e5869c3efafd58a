"""The real runner on this machine: the shipped zipapp, launched with a specification as `sltfleet run` does it.

What is timed is everything a host does, from `launch` (snapshot, handshake) to the end of the runner's process. The
controller's share (ssh, sync, build) is the benchmark `startup`'s and `story`'s.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sltfleet.app.archive import runner_archive
from sltfleet.core.timeline import timeline_of
from sltfleet.core.utilization import Utilization, utilization
from sltfleet.runner.processes import marked
from sltfleet.wire.codec import to_text
from sltfleet.wire.events import Event, event_from_line
from sltfleet.wire.handshake import Launched, answer_from_output
from sltfleet.wire.share import Share
from sltfleet.wire.spec import ExitCodeVerdict, Limits, Spec, UnitHistory, UnitSource, VerdictRule

#: Beyond a run's budget, this is how long its end may take.
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Finished:
    """A run that is over: `elapsed_s` is from the launch to the end of the runner's process."""

    events: tuple[Event, ...]
    elapsed_s: float

    @property
    def numbers(self) -> Utilization:
        return utilization(timeline_of(self.events))


@dataclass(frozen=True)
class Work:
    """What a run does: see `sltfleet.wire.spec.Spec` for the fields, `sltfleet.wire.share` for `share`."""

    binary: Path | None
    args: tuple[str, ...]
    units: UnitSource
    workers: int
    budget_s: float
    env: dict[str, str]
    passes: int | None = None
    history: dict[str, UnitHistory] | None = None
    verdict: VerdictRule = field(default_factory=ExitCodeVerdict)
    speed: float = 1.0
    share: Share | None = None


class BenchHost:
    """A project's folder on this machine, with a repo that may be filled. `queue`: the runner is able to use one."""

    def __init__(self, root: Path, name: str = "here", *, queue: bool = False) -> None:
        self.root = root
        self.name = name
        self.repo = root / "repo"
        self.repo.mkdir(parents=True)
        archive = runner_archive(queue=queue)
        self._archive = root / archive.name
        self._archive.write_bytes(archive.data)
        self._runs = 0

    def run(self, work: Work, seed: int, meanwhile: Callable[[int], None] | None = None) -> Finished:
        """Launch a run and wait for its end. `meanwhile` is called with the runner's pid once it runs."""
        return self.launch(self.folder_of(work, seed), work.budget_s, meanwhile)

    def prepare(self, work: Work, seed: int) -> Path:
        """Prepare a run, as is done for several hosts before any is launched, and return its folder."""
        run_dir = self.folder_of(work, seed)
        argv = [sys.executable, "-S", "-E", str(self._archive), "prepare", str(run_dir)]
        subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
        return run_dir

    def folder_of(self, work: Work, seed: int) -> Path:
        """Make a run's folder with all that a launch needs."""
        self._runs += 1
        run_dir = self.root / "runs" / f"run-{self._runs}"
        run_dir.mkdir(parents=True)
        spec = self._spec(work, seed, run_dir.name)
        (run_dir / "spec.json").write_text(to_text(spec))
        if work.share is not None:
            (run_dir / "share.json").write_text(to_text(work.share))
        return run_dir

    def launch(self, run_dir: Path, budget_s: float, meanwhile: Callable[[int], None] | None = None) -> Finished:
        """Launch the run of a folder and wait for its end."""
        argv = [sys.executable, "-S", "-E", str(self._archive), "launch", str(run_dir)]
        started_s = time.monotonic()
        done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        answer = answer_from_output(done.stdout)
        if not isinstance(answer, Launched):
            raise SystemExit(f"the runner did not start: {done.stdout}{done.stderr}")
        try:
            gone = os.pidfd_open(answer.identity.pid)
        except ProcessLookupError:
            return _finished(run_dir, started_s)
        try:
            if meanwhile is not None:
                meanwhile(answer.identity.pid)
            if not select.select([gone], [], [], budget_s + PATIENCE_S)[0]:
                raise SystemExit(f"the runner did not end: {run_dir}")
            return _finished(run_dir, started_s)
        finally:
            self._end(gone, run_dir)
            os.close(gone)

    def _end(self, runner: int, run_dir: Path) -> None:
        """After an error nothing of the run may stay behind."""
        if select.select([runner], [], [], 0)[0]:
            return
        signal.pidfd_send_signal(runner, signal.SIGKILL)
        for pid in marked(str(run_dir)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _spec(self, work: Work, seed: int, run_id: str) -> Spec:
        return Spec(
            run_id=run_id,
            project="bench",
            host=self.name,
            suite="bench",
            project_root=str(self.root),
            repo=str(self.repo),
            package_dir="",
            binary=str(work.binary) if work.binary else "",
            build_digest=hashlib.sha256(work.binary.read_bytes()).hexdigest() if work.binary else "none",
            args=work.args,
            env=work.env,
            units=work.units,
            verdict=work.verdict,
            workers=work.workers,
            budget_s=work.budget_s,
            seed=seed,
            passes=work.passes,
            limits=Limits(),
            history=work.history or {},
            speed=work.speed,
        )


def read_events(journal: Path) -> tuple[Event, ...]:
    """Return the events of a journal."""
    with open(journal, "rb") as file:
        return tuple(event_from_line(line) for line in file)


def _finished(run_dir: Path, started_s: float) -> Finished:
    elapsed_s = time.monotonic() - started_s
    return Finished(read_events(run_dir / "journal.jsonl"), elapsed_s)
