"""doctor --suite: builds a suite where needed and runs its canaries, on every host that is fit for it.

The runner is the real one, with a folder, a lock and a `current` of its own: a run that is active on the host neither
refuses the canaries nor is disturbed by them, and `status` does not show them. Nothing of them is left behind.
"""

from __future__ import annotations

import contextlib
import posixpath
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sltfleet.app.build import build
from sltfleet.app.fleet import Fleet, Host
from sltfleet.app.progress import Listener
from sltfleet.app.run import RunOptions, make_spec
from sltfleet.app.starting import launch
from sltfleet.app.status import poll_host
from sltfleet.app.stop import stop_host
from sltfleet.config.model import CanaryConfig, SuiteConfig
from sltfleet.config.units import PartitionsConfig
from sltfleet.core.building import BuiltSuite
from sltfleet.core.canary import CHECK, judge_canaries, remove_script
from sltfleet.core.diagnosis import HostDiagnosis
from sltfleet.core.errors import FleetError, RunError, UsageError
from sltfleet.core.findings import Finding, Level
from sltfleet.core.following import follow_script, parse_followed, read_events, whole_lines
from sltfleet.core.polling import SETTLED, UNREACHABLE
from sltfleet.core.runid import new_run_id
from sltfleet.wire.events import AttemptFinished
from sltfleet.wire.globs import literal

#: One for each of the two; what is shared between workers is shared here as well.
WORKERS = 2

#: A suite that shuffles by it has the same shares in every run of the canaries.
SEED = 0

#: Beyond the units' own timeouts: starting, and ending what does not end.
SPARE_S = 60.0

_POLL_S = 0.25
_READ_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 15.0
_REMOVE_TIMEOUT_S = 300.0


@dataclass(frozen=True)
class Canaries:
    """A suite with its two units."""

    suite: str
    config: SuiteConfig
    units: CanaryConfig


def canaries(fleet: Fleet, suite_name: str) -> Canaries:
    """Return the canaries of a suite. Raises UsageError for a suite that is not there or has none."""
    name, suite = fleet.suite(suite_name)
    if suite.canary is None:
        raise UsageError(
            f"the suite {name!r} has no canary",
            "without a unit that is known to fail nothing can show that failures are seen",
            "add `canary: {passing: UNIT, failing: UNIT}` to the suite in fleet.yaml",
        )
    return Canaries(name, suite, suite.canary)


def suites_without_canary(fleet: Fleet) -> tuple[Finding, ...]:
    """Return a note where suites have no canary: the one place where that is said unasked.

    Suites of shares are not asked for one: what is in a share depends on the seed, and so nobody knows how it ends.
    """
    suites = fleet.loaded.config.suites
    names = [
        name for name, suite in suites.items() if suite.canary is None and not isinstance(suite.units, PartitionsConfig)
    ]
    if not names:
        return ()
    text = f"suites without a canary, so that nothing proves that failures are seen: {', '.join(names)}"
    return (Finding(Level.NOTE, CHECK, text, "add `canary: {passing: UNIT, failing: UNIT}` to the suite"),)


def check_canaries(
    fleet: Fleet, chosen: Canaries, diagnoses: Sequence[HostDiagnosis], listener: Listener
) -> list[HostDiagnosis]:
    """Return the diagnoses with what the canaries say of each host; one that has an error already is left alone."""
    fit = {diagnosis.host for diagnosis in diagnoses if diagnosis.level < Level.ERROR}
    there = replace(fleet, hosts=tuple(host for host in fleet.hosts if host.name in fit))
    built = build(there, chosen.suite, chosen.config, listener)
    ready = tuple(host for host in there.hosts if host.name in built.values)

    def work(host: Host) -> tuple[tuple[Finding, ...], str]:
        findings = run_canaries(host, chosen, built.values[host.name])
        return findings, "as they should" if max(
            found.level for found in findings
        ) is Level.OK else "not as they should"

    ran = fleet.each_host("running the canaries", work, listener, hosts=ready)
    errors = {**built.errors, **ran.errors}
    found: dict[str, tuple[Finding, ...]] = {
        **{name: (Finding(Level.ERROR, CHECK, error.summary, error.fix),) for name, error in errors.items()},
        **ran.values,
    }
    return [
        replace(diagnosis, findings=(*diagnosis.findings, *found.get(diagnosis.host, ()))) for diagnosis in diagnoses
    ]


def run_canaries(host: Host, chosen: Canaries, built: BuiltSuite) -> tuple[Finding, ...]:
    """Run the canaries on one host and judge them. Raises HostError and RunError where they cannot be run."""
    suite, units = chosen.config, chosen.units
    run_id = new_run_id(time.time(), secrets.randbits(24))
    budget_s = 2 * (suite.timeout.max + suite.kill_after) + SPARE_S
    select = (literal(units.passing), literal(units.failing))
    options = RunOptions(workers=WORKERS, budget_s=budget_s, passes=1, select=select)
    apart = replace(host, paths=host.paths.canary(run_id))
    spec = make_spec(run_id, host, suite, built, options, SEED)
    spec = replace(spec, project_root=posixpath.join(built.project_root, "canary", run_id))
    try:
        launch(apart, spec, replace=False)
        _wait(apart, run_id, time.monotonic() + budget_s + SPARE_S)
        attempts = _attempts(apart, run_id)
    except BaseException:
        # What went wrong before is what a person must hear of.
        with contextlib.suppress(FleetError):
            stop_host(apart, run_id, _STOP_TIMEOUT_S)
        raise
    finally:
        host.transport.run(remove_script(host.paths, run_id), timeout_s=_REMOVE_TIMEOUT_S)
    return judge_canaries(units.passing, units.failing, attempts, suite.verdict.kind)


def _wait(host: Host, run_id: str, deadline_s: float) -> None:
    """Return once the run has ended. Raises RunError where it does not, and the host's error where it is lost."""
    while True:
        status = poll_host(host, run_id)
        if status.condition in SETTLED:
            return
        if time.monotonic() > deadline_s:
            error: FleetError | None = status.error if status.condition == UNREACHABLE else None
            raise error or RunError(
                "the canaries do not come to their end",
                f"the run is {status.condition}",
                "`sltfleet doctor` checks the host",
            )
        time.sleep(_POLL_S)


def _attempts(host: Host, run_id: str) -> dict[str, AttemptFinished]:
    """Return the finished attempts by unit."""
    lines: list[bytes] = []
    offset = 0
    while True:
        script = follow_script(host.paths, run_id, "journal.jsonl", offset)
        piece = parse_followed(host.transport.run(script, timeout_s=_READ_TIMEOUT_S).stdout)
        if piece is None:
            break
        more, offset = whole_lines(piece)
        lines += more
        if not piece.full:
            break
    return {event.unit: event for event in read_events(lines) if isinstance(event, AttemptFinished)}
