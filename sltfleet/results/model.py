"""The values that the queries return and the reports show: plain, and free of SQL. Text in them came from hosts."""

from __future__ import annotations

from dataclasses import dataclass

from sltfleet.core.summary import RunSummary
from sltfleet.core.utilization import Utilization


@dataclass(frozen=True)
class LeftBehind:
    """A unit whose attempts had processes that outlived them, and were ended: how many of each."""

    unit: str
    attempts: int
    processes: int


@dataclass(frozen=True)
class HostRun:
    """A run on one host. `wall_s` is its start in seconds since the epoch, on the host's clock."""

    host: str
    wall_s: float
    build_digest: str
    commit: str
    dirty_digest: str
    toolchain: str
    cases_passed: int
    cases_failed: int
    #: Attempts without an end in the journal.
    unfinished: int
    #: Why the journal cannot be read to its end, "" where it can.
    damage: str
    notes: tuple[str, ...]
    #: Those with most processes first.
    left_behind: tuple[LeftBehind, ...]
    utilization: Utilization


@dataclass(frozen=True)
class FailingCase:
    """A case that failed in a run: how many attempts failed it, on which hosts, and the first message it gave.

    `output` is where the first failing attempt's output was fetched to, relative to the run's folder; "" where none
    was kept.
    """

    case: str
    unit: str
    message: str
    failed: int
    passed: int
    hosts: tuple[str, ...]
    output: str


@dataclass(frozen=True)
class Cause:
    """Failures of one signature (`core.signature`): `failed` in all, of `cases`, in so many `units`.

    `message` and `case` are the earliest failure's, which was seen `first_seen_s` after the run's start on its host.
    """

    signature: str
    message: str
    case: str
    failed: int
    units: int
    hosts: tuple[str, ...]
    first_seen_s: float
    cases: tuple[str, ...]


@dataclass(frozen=True)
class FlakyFailure:
    """An attempt that failed what others passed, and its circumstances.

    `neighbours` are the units that ran on the host at the same time; seconds are on the run's clock there. `output` is
    relative to the run's folder, "" where none was kept.
    """

    run_id: str
    host: str
    attempt: int
    unit: str
    worker: int
    pass_number: int
    seed: int
    outcome: str
    message: str
    start_s: float
    end_s: float
    neighbours: tuple[str, ...]
    output: str


@dataclass(frozen=True)
class Flaky:
    """A unit or a case that the same build both passed and failed. `kind` is `unit` or `case`.

    Seeds and failures are examples: the first few, and none where more is flaky than anybody will read of.
    """

    kind: str
    name: str
    build_digest: str
    passed: int
    failed: int
    hosts: tuple[str, ...]
    message: str
    failed_seeds: tuple[int, ...] = ()
    passed_seeds: tuple[int, ...] = ()
    failures: tuple[FlakyFailure, ...] = ()

    @property
    def failure_rate(self) -> float:
        """Failed of all, 0 to 1."""
        return self.failed / (self.passed + self.failed)


@dataclass(frozen=True)
class SlowUnit:
    """How long a unit's attempts took, those with a verdict only."""

    unit: str
    median_s: float
    max_s: float
    attempts: int


@dataclass(frozen=True)
class QuarantinedUnit:
    """A unit that was in quarantine at the run's end: after how many timeouts in a row (the most of any host)."""

    unit: str
    timeouts: int
    hosts: tuple[str, ...]


@dataclass(frozen=True)
class SharedHost:
    """What the shared queue counted of a host: verdicts in the first pass, in all, and those it did not count."""

    host: str
    first_pass: int
    counted: int
    uncounted: int


@dataclass(frozen=True)
class SharedRun:
    """A run whose hosts shared a queue, which counts one verdict per unit and pass, over all hosts.

    `passes` are complete for the fleet: each unit has its counted verdict. `units_counted` have one in any pass.
    `uncounted` are second verdicts: of a host that was given up too early, or without the queue for a while, and of
    units that were tried again.
    """

    passes: int
    units_counted: int
    counted: int
    uncounted: int
    hosts: tuple[SharedHost, ...]


@dataclass(frozen=True)
class RunReport:
    """Everything that the tables of one run show. `slowest` is the top of the list, all else is whole."""

    run_id: str
    project: str
    suite: str
    seed: int
    once: bool
    summary: RunSummary
    hosts: tuple[HostRun, ...]
    causes: tuple[Cause, ...]
    failing: tuple[FailingCase, ...]
    flaky: tuple[Flaky, ...]
    slowest: tuple[SlowUnit, ...]
    quarantined: tuple[QuarantinedUnit, ...]
    #: None where the hosts shared no queue.
    shared: SharedRun | None = None
