"""run: builds where needed, and starts a runner on every selected host. Watching it is `app.watch`."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

from sltfleet.app.build import build
from sltfleet.app.fleet import Fleet, Host, HostResults
from sltfleet.app.progress import Listener, Warned
from sltfleet.app.queue import queue_for_run
from sltfleet.app.revision import read_revision
from sltfleet.app.runs import RunRecord, save_run
from sltfleet.app.starting import start_hosts
from sltfleet.config.model import SuiteConfig
from sltfleet.config.units import CommandConfig, FilesConfig, LibtestConfig, ListedFilesConfig, PartitionsConfig
from sltfleet.config.verdicts import ExitCodeConfig, JsonConfig, LibtestVerdictConfig, OutputConfig
from sltfleet.core.building import BuiltSuite
from sltfleet.core.errors import FleetError, SyncError
from sltfleet.core.launching import escape_template
from sltfleet.core.revision import Revision
from sltfleet.core.runid import is_run_id, new_run_id
from sltfleet.results.history import EarlierRuns, earlier_runs
from sltfleet.results.store import Store
from sltfleet.wire.handshake import Launched
from sltfleet.wire.spec import (
    CommandUnits,
    ExitCodeVerdict,
    FileUnits,
    JsonVerdict,
    LibtestUnits,
    LibtestVerdict,
    Limits,
    OutputVerdict,
    PartitionUnits,
    Spec,
    UnitSource,
    VerdictRule,
)


@dataclass(frozen=True)
class RunOptions:
    """What the command line asks of a run; None leaves a thing to fleet.yaml."""

    workers: int | None = None
    budget_s: float | None = None
    seed: int | None = None
    passes: int | None = None
    once: bool = False
    fail_fast: int | None = None
    select: tuple[str, ...] = ()
    replace: bool = False


@dataclass(frozen=True)
class StartedRun:
    """A run that has begun on the hosts of `launched.values`; `launched.errors` has what kept the others out of it."""

    run_id: str
    suite: str
    seed: int
    budget_s: float
    launched: HostResults[Launched]


def start_run(
    fleet: Fleet,
    suite_name: str | None,
    options: RunOptions,
    listener: Listener,
) -> StartedRun:
    """Build the suite on every selected host and start it there.

    The hosts that cannot build or start are in `launched.errors`; the run goes on with the others. Raises RunError when
    it has started and cannot be remembered here, or the hosts reach different queues, UsageError for an unknown suite.
    """
    name, suite = fleet.suite(suite_name)
    seed = secrets.randbits(32) if options.seed is None else options.seed
    run_id = new_run_id(time.time(), secrets.randbits(24))
    built = build(fleet, name, suite, listener)
    _warn_of_other_trees(fleet, built.values, listener)
    earlier = _earlier_runs(fleet, name, listener)
    ready = [host for host in fleet.hosts if host.name in built.values]
    workers = _workers_of_all(ready, options)
    specs = {
        host.name: make_spec(
            run_id, host, suite, built.values[host.name], options, seed, earlier, fleet_workers=workers
        )
        for host in ready
    }
    queue = queue_for_run(fleet, tuple(ready), listener)
    launched = start_hosts(fleet, specs, listener, replace=options.replace, queue=queue)
    for host, answer in launched.values.items():
        if is_run_id(answer.lost_run_id):
            listener(_lost_before(host, answer))
    launched.errors.update(built.errors)
    budget_s = options.budget_s or suite.budget
    if launched.values:
        first = built.values[next(iter(launched.values))]
        save_run(
            fleet.paths,
            RunRecord(
                run_id=run_id,
                project=fleet.project,
                suite=name,
                hosts=tuple(launched.values),
                workers={host: answer.workers for host, answer in launched.values.items()},
                started_wall_s=time.time(),
                budget_s=budget_s,
                seed=seed,
                commit=first.commit,
                dirty_digest=first.dirty_digest,
            ),
        )
    return StartedRun(run_id, name, seed, budget_s, launched)


def make_spec(
    run_id: str,
    host: Host,
    suite: SuiteConfig,
    built: BuiltSuite,
    options: RunOptions,
    seed: int,
    earlier: EarlierRuns | None = None,
    *,
    fleet_workers: int | None = None,
) -> Spec:
    """Return what the host's runner is asked to do.

    `fleet_workers`: how many all hosts of the run have together, where there are others; 0 where nobody knows.
    """
    workers = _workers_of(host, options)
    earlier = earlier or EarlierRuns()
    return Spec(
        run_id=run_id,
        project=host.paths.project,
        host=host.name,
        suite=built.suite,
        project_root=built.project_root,
        repo=built.repo,
        package_dir=built.package_dir,
        binary=built.binary,
        build_digest=built.digest,
        args=suite.args,
        env={**escape_template(host.config.env), **suite.env},
        units=_units(suite, built, (workers if fleet_workers is None else fleet_workers) if options.once else None),
        verdict=_verdict(suite),
        workers=workers,
        budget_s=options.budget_s or suite.budget,
        seed=seed,
        passes=options.passes,
        once=options.once,
        fail_fast=options.fail_fast,
        select=options.select,
        workdir=suite.workdir,
        limits=Limits(
            timeout_s=suite.timeout.max,
            timeout_factor=suite.timeout.factor,
            timeout_floor_s=suite.timeout.floor,
            quarantine_after=suite.quarantine_after,
            retry_weight=suite.retry_weight,
            memory_limit_bytes=suite.memory_limit,
            memory_reserve_bytes=suite.memory_reserve,
            kill_after_s=suite.kill_after,
            output_bytes=suite.output_limit,
            artifacts_bytes=suite.artifacts_limit,
            nice=suite.nice,
        ),
        history=earlier.history,
        speed=earlier.speeds.get(host.name, 1.0),
        commit=built.commit,
        dirty_digest=built.dirty_digest,
        toolchain=built.toolchain,
        sltfleet_version=_version(),
    )


def _warn_of_other_trees(fleet: Fleet, built: dict[str, BuiltSuite], listener: Listener) -> None:
    """Say where the run tests something else than what lies here: there was no sync since, or one from elsewhere.

    A run without a sync is no mistake, as with one that was begun on another machine; to believe its results are those
    of the code here would be one. Nothing is said of a repo without git.
    """
    try:
        here = read_revision(fleet.loaded.repo)
    except SyncError:  # git's own trouble, which the next sync tells: the run does not need git
        return
    other = [name for name, suite in built.items() if Revision(suite.commit, suite.dirty_digest) != here]
    if other and here != Revision("", ""):
        listener(
            Warned(
                "",
                f"the repo on {', '.join(other)} is not what it is here: it was last synced in another state",
                "`sltfleet sync`, unless that state is to be tested",
            )
        )


def _lost_before(host: str, answer: Launched) -> Warned:
    """Say that the run before this one was lost, which may have been noticed by nobody."""
    return Warned(
        host,
        f"the runner of run {answer.lost_run_id} was lost there; what it left running is ended",
        f"`sltfleet resume {answer.lost_run_id}` goes on with it, when this run is over",
    )


def _workers_of(host: Host, options: RunOptions) -> int:
    """How many workers a host is asked for, 0 where it decides itself."""
    return options.workers or host.config.workers or 0


def _workers_of_all(hosts: Sequence[Host], options: RunOptions) -> int:
    """How many workers the hosts are asked for together, 0 where one of them decides itself."""
    counts = [_workers_of(host, options) for host in hosts]
    return sum(counts) if all(counts) else 0


def _earlier_runs(fleet: Fleet, suite: str, listener: Listener) -> EarlierRuns:
    """Return what fetched runs know of units and hosts. A database that cannot be read costs the order of the first
    pass, not the run.
    """
    if not fleet.paths.database.exists():
        return EarlierRuns()
    try:
        with Store.open(fleet.paths) as store:
            return earlier_runs(store, fleet.project, suite)
    except FleetError as error:
        listener(Warned("", f"the first pass is ordered without earlier results: {error}", error.fix))
        return EarlierRuns()


def _units(suite: SuiteConfig, built: BuiltSuite, fixed_shares: int | None) -> UnitSource:
    units = suite.units
    if isinstance(units, FilesConfig):
        return _files(units)
    if isinstance(units, LibtestConfig):
        return LibtestUnits(built.binaries, units.ignored, units.exclude, units.batch or 0.0)
    if isinstance(units, CommandConfig):
        return CommandUnits(units.program, units.items, units.lines_of, _files(units.files) if units.files else None)
    assert isinstance(units, PartitionsConfig)
    # `--once` is the old behaviour: each worker of the fleet has its fixed share, and leaves when it is done.
    return PartitionUnits(count=fixed_shares or units.count, first=units.first)


def _files(units: FilesConfig | ListedFilesConfig) -> FileUnits:
    return FileUnits(root=units.root, include=units.include, exclude=units.exclude)


def _verdict(suite: SuiteConfig) -> VerdictRule:
    rule = suite.verdict
    if isinstance(rule, LibtestVerdictConfig):
        return LibtestVerdict()
    if isinstance(rule, ExitCodeConfig):
        return ExitCodeVerdict(success=rule.success)
    if isinstance(rule, OutputConfig):
        return OutputVerdict(passed=rule.passed, failed=rule.failed)
    assert isinstance(rule, JsonConfig)
    return JsonVerdict(path=rule.path, passed=rule.passed, failed=rule.failed, messages=rule.messages)


def _version() -> str:
    from sltfleet import __version__

    return __version__
