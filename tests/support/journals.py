"""Journals for tests: a builder of events with a clock of its own, and writing them where `fetch` would put them."""

from __future__ import annotations

from pathlib import Path

from sltfleet.core.paths import LocalPaths
from sltfleet.results.journal import Damage, read_piece
from sltfleet.wire.events import (
    AttemptFinished,
    AttemptStarted,
    Counted,
    Event,
    FailedCase,
    Output,
    PassFinished,
    RunFinished,
    RunResumed,
    RunStarted,
    Rusage,
    Sample,
    WorkerStarted,
    WorkerStopped,
    event_to_line,
)
from sltfleet.wire.outcome import PASS, VERDICTS
from sltfleet.wire.state import Identity

RUN_ID = "20261123-120312-3f9a1c"
LATER_RUN_ID = "20261123-140000-000001"

#: What every attempt may take.
TIMEOUT_S = 30.0


class JournalBuilder:
    """Collects the events of one run on one host. Attempts are numbered in the order in which they are added."""

    def __init__(
        self,
        *,
        run_id: str = RUN_ID,
        host: str = "alpha",
        workers: int = 2,
        budget_s: float = 100.0,
        units: tuple[str, ...] = ("a.test", "b.test"),
        cores: float = 2.0,
        build_digest: str = "b0",
        once: bool = False,
        share_units: int | None = None,
        project: str = "demo",
        suite: str = "slt",
    ) -> None:
        self.events: list[Event] = [
            RunStarted(
                t=0.0,
                run_id=run_id,
                project=project,
                host=host,
                suite=suite,
                wall_s=1_795_000_000.0,
                identity=Identity("boot", 42, 4711),
                workers=workers,
                units=units,
                budget_s=budget_s,
                seed=7,
                once=once,
                build_digest=build_digest,
                commit="c0ffee",
                dirty_digest="",
                toolchain="rustc 1.90.0",
                cores=cores,
                memory_bytes=8 << 30,
                sltfleet_version="0.1.0",
                share_units=share_units,
            )
        ]
        self.events += [WorkerStarted(t=0.0, worker=worker) for worker in range(workers)]
        self._attempts = 0

    def start(self, worker: int, unit: str, at_s: float, pass_number: int = 1, seed: int = 7) -> int:
        """Add an attempt's start and return its number."""
        self._attempts += 1
        pid = 1000 + self._attempts
        self.events.append(AttemptStarted(at_s, self._attempts, unit, worker, pass_number, seed, pid, TIMEOUT_S))
        return self._attempts

    def attempt(
        self,
        worker: int,
        unit: str,
        start_s: float,
        end_s: float,
        outcome: str = PASS,
        *,
        passed: tuple[str, ...] | None = None,
        failed: tuple[tuple[str, str], ...] | None = None,
        message: str = "",
        pass_number: int = 1,
        seed: int = 7,
        cpu_s: float = 0.0,
        output: str = "",
    ) -> JournalBuilder:
        """Add an attempt with its end. Without `passed` and `failed` the unit is the only case."""
        number = self.start(worker, unit, start_s, pass_number, seed)
        if passed is None:
            passed = (unit,) if outcome == PASS else ()
        if failed is None:
            failed = ((unit, message),) if outcome in VERDICTS and outcome != PASS else ()
        self.events.append(
            AttemptFinished(
                t=end_s,
                attempt=number,
                unit=unit,
                worker=worker,
                pass_number=pass_number,
                seed=seed,
                outcome=outcome,
                duration_s=end_s - start_s,
                exit_code=0 if outcome == PASS else 1,
                passed=passed,
                failed=tuple(FailedCase(name, text) for name, text in failed),
                message=message,
                rusage=Rusage(user_s=cpu_s),
                output=Output(size_bytes=10, path=output),
            )
        )
        return self

    def sample(self, at_s: float, cpu_percent: float = 50.0) -> JournalBuilder:
        """Add a sample."""
        self.events.append(Sample(at_s, cpu_percent, 4 << 30, 1, 20 << 20, at_s / 100))
        return self

    def counted(self, *attempts: int, pass_number: int = 1) -> JournalBuilder:
        """Add that the shared queue counts attempts."""
        self.events.append(Counted(self.events[-1].t, pass_number, attempts))
        return self

    def pass_end(self, pass_number: int, at_s: float) -> JournalBuilder:
        """Add the end of a pass."""
        self.events.append(PassFinished(at_s, pass_number, 2))
        return self

    def leave(self, worker: int, at_s: float, reason: str = "budget") -> JournalBuilder:
        """Add that a worker leaves."""
        self.events.append(WorkerStopped(at_s, worker, at_s, at_s, 1, reason))
        return self

    def resume(self, at_s: float) -> JournalBuilder:
        """Add that another runner goes on, and has all workers come to life again."""
        started = self.events[0]
        assert isinstance(started, RunStarted)
        self.events.append(RunResumed(at_s, started.wall_s + 1000.0, Identity("boot", 43, 4712)))
        self.events += [WorkerStarted(t=at_s, worker=worker) for worker in range(started.workers)]
        return self

    def finish(self, at_s: float, reason: str = "budget") -> JournalBuilder:
        """Add the run's end."""
        self.events.append(RunFinished(at_s, reason, 1, self._attempts, 1))
        return self

    @property
    def data(self) -> bytes:
        """The journal's content."""
        return b"".join(event_to_line(event) for event in self.events)

    def write(self, paths: LocalPaths, host: str = "alpha", run_id: str = RUN_ID) -> Path:
        """Write the journal where `fetch` puts it, and return its path."""
        path = paths.host(run_id, host) / "journal.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.data)
        return path


def read_all(path: Path) -> tuple[list[Event], Damage | None]:
    """Every event that can be read, piece by piece as an import does, and what ended the reading."""
    events: list[Event] = []
    offset = 0
    while True:
        piece = read_piece(path, offset)
        events += piece.events
        if not piece.more:
            return events, piece.damage
        offset = piece.next_offset
