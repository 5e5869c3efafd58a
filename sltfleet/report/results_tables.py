"""The tables of a fetched run: outcomes, utilization, causes, failing cases, slowest units, and what was odd.

What is flaky is `report.flaky`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sltfleet.core.utilization import ELAPSED
from sltfleet.report.flaky import flaky_lines, flaky_table
from sltfleet.report.sanitize import visible, visible_name
from sltfleet.report.tables import MAX_ROWS, MESSAGE_WIDTH, NAME_WIDTH, Row, hosts_text, table
from sltfleet.report.terminal import BAD, GOOD, WARN, style
from sltfleet.report.text import NOTHING, count, duration, of, percent
from sltfleet.results.model import Cause, FailingCase, HostRun, LeftBehind, QuarantinedUnit, RunReport, SlowUnit
from sltfleet.wire.outcome import BAD as BAD_OUTCOMES
from sltfleet.wire.outcome import FAIL, OUTCOMES, PASS

#: Of a cause's example, which shares its line with the message.
CASE_WIDTH = 36

NO_MESSAGE = "(no message)"

FLEET = "fleet"


def run_tables(report: RunReport) -> str:
    """Return all tables of a run, each with its title, separated by empty lines."""
    parts = [
        _title(report),
        _section("Outcomes", outcomes_table(report)),
        _section(f"Utilization, {_basis(report)}", utilization_table(report)),
        _section("Shared queue: one verdict counts per unit and pass", shared_table(report)),
        _section(
            "Causes: failures whose messages differ in values only", causes_table(report.causes), _more(report.causes)
        ),
        _section("Failing cases", failing_table(report.failing, report.causes), _more(report.failing)),
        _section("Flaky: the same build passed and failed", flaky_table(report.flaky), _more(report.flaky)),
        _section("Flaky, case by case", "\n".join(flaky_lines(report.flaky))),
        _section("Slowest units", slowest_table(report.slowest)),
        _section(
            "In quarantine: they time out again and again, and are run rarely",
            quarantine_table(report.quarantined),
            _more(report.quarantined),
        ),
        _section("Worth knowing", "\n".join(oddities(report.hosts))),
    ]
    return "\n\n".join(part for part in parts if part)


def outcomes_table(report: RunReport) -> str:
    """Return how the attempts and cases of each host ended."""
    shown = [outcome for outcome in OUTCOMES if outcome in (PASS, FAIL) or report.summary.outcomes.get(outcome)]
    rows = [
        _outcome_row(visible(run.host), run.utilization.outcomes, shown, run.cases_passed, run.cases_failed)
        for run in report.hosts
    ]
    if len(report.hosts) > 1:
        passed = sum(run.cases_passed for run in report.hosts)
        failed = sum(run.cases_failed for run in report.hosts)
        rows.append(_outcome_row(style(FLEET, bold=True), report.summary.outcomes, shown, passed, failed))
    return table(rows, ("host", "attempts", *shown, "cases passed", "cases failed"), text_columns=1)


def utilization_table(report: RunReport) -> str:
    """Return how busy each host was kept, and what its workers got through."""
    rows = [_utilization_row(run) for run in report.hosts]
    if len(report.hosts) > 1:
        rows.append(_fleet_row(report))
    headers = (
        "host",
        "occupancy",
        "active",
        "cpu",
        "worker\nlife, min",
        "\nmedian",
        "attempts\nper worker",
        "passes",
        "covered",
        "first\npass",
        "over",
    )
    return table(rows, headers, text_columns=1)


def shared_table(report: RunReport) -> str:
    """Return what the shared queue counted of each host; "" where the hosts had none."""
    shared = report.shared
    if shared is None:
        return ""
    rows = [
        (visible(host.host), count(host.first_pass), count(host.counted), count(host.uncounted))
        for host in shared.hosts
    ]
    first_pass = sum(host.first_pass for host in shared.hosts)
    total = report.summary.units_total
    rows.append((style(FLEET, bold=True), of(first_pass, total), count(shared.counted), count(shared.uncounted)))
    return table(rows, ("host", "first pass", "counted", "not counted"), text_columns=1)


def causes_table(causes: Sequence[Cause]) -> str:
    """Return the causes of the failures, numbered; "" where nothing failed. A number stands in `failing_table` too."""
    rows = [
        (
            str(number),
            style(count(len(cause.cases)), BAD),
            count(cause.units),
            count(cause.failed),
            hosts_text(cause.hosts),
            duration(cause.first_seen_s),
            visible_name(cause.case, limit=CASE_WIDTH),
            visible(cause.message or NO_MESSAGE, limit=MESSAGE_WIDTH),
        )
        for number, cause in enumerate(causes[:MAX_ROWS], 1)
    ]
    headers = ("cause", "cases", "units", "failed", "hosts", "first\nseen", "for instance", "its message")
    return table(rows, headers, text_columns=(4, 6, 7))


def failing_table(failing: Sequence[FailingCase], causes: Sequence[Cause] = ()) -> str:
    """Return the cases that failed, with the first message of each and the numbers of its `causes`; "" for none."""
    numbers: dict[str, list[str]] = {}
    for number, cause in enumerate(causes[:MAX_ROWS], 1):
        for case in cause.cases:
            numbers.setdefault(case, []).append(str(number))
    rows = [
        (
            visible_name(case.case, limit=NAME_WIDTH),
            ", ".join(numbers.get(case.case, [NOTHING])),
            style(count(case.failed), BAD),
            count(case.passed),
            hosts_text(case.hosts),
            visible(case.message, limit=MESSAGE_WIDTH),
        )
        for case in failing[:MAX_ROWS]
    ]
    return table(rows, ("case", "cause", "failed", "passed", "hosts", "first message"), text_columns=(0, 4, 5))


def slowest_table(slowest: Sequence[SlowUnit]) -> str:
    """Return the units that take longest; "" where none has a verdict."""
    rows = [
        (visible_name(unit.unit, limit=NAME_WIDTH), duration(unit.median_s), duration(unit.max_s), count(unit.attempts))
        for unit in slowest
    ]
    return table(rows, ("unit", "median", "longest", "attempts"), text_columns=1)


def quarantine_table(quarantined: Sequence[QuarantinedUnit]) -> str:
    """Return the units in quarantine; "" where there are none."""
    rows = [
        (visible_name(unit.unit, limit=NAME_WIDTH), style(count(unit.timeouts), WARN), hosts_text(unit.hosts))
        for unit in quarantined[:MAX_ROWS]
    ]
    return table(rows, ("unit", "timeouts\nin a row", "hosts"), text_columns=(0, 2))


def oddities(hosts: Iterable[HostRun]) -> list[str]:
    """Return a line for everything about a host's journal that a person should know."""
    lines = []
    for run in hosts:
        said = [*run.utilization.problems, *run.notes]
        if run.left_behind:
            said.append(left_behind_line(run.left_behind))
        if run.damage:
            said.append(run.damage)
        if run.utilization.reason is None:
            said.append(f"the run had not ended when it was fetched; attempts without an end: {count(run.unfinished)}")
        lines += [f"{style(visible(run.host), bold=True)}: {visible(text, limit=200)}" for text in said[:MAX_ROWS]]
        if len(said) > MAX_ROWS:
            lines.append(f"{style(visible(run.host), bold=True)}: and {len(said) - MAX_ROWS} more")
    return lines


def left_behind_line(found: Sequence[LeftBehind]) -> str:
    """Return the line about units whose processes outlived their attempts."""
    names = ", ".join(
        f"{visible_name(one.unit)} ({count(one.processes)} in {count(one.attempts)} attempts)" for one in found
    )
    return f"processes that outlived their attempts were ended: {names}"


def _title(report: RunReport) -> str:
    builds = {run.build_digest for run in report.hosts}
    commits = sorted({run.commit[:12] + ("+" if run.dirty_digest else "") for run in report.hosts if run.commit})
    facts = [
        f"suite {visible(report.suite)}",
        f"seed {report.seed}",
        *([f"commit {visible(', '.join(commits))}"] if commits else []),
        *(["several builds"] if len(builds) > 1 else []),
        *(["once"] if report.once else []),
    ]
    return f"{style(f'Run {visible(report.run_id)}', bold=True)}: {', '.join(facts)}"


def _basis(report: RunReport) -> str:
    return "measured over the elapsed time" if report.summary.basis == ELAPSED else "measured over the budget"


def _outcome_row(name: str, outcomes: dict[str, int], shown: Sequence[str], passed: int, failed: int) -> Row:
    return (
        name,
        count(sum(outcomes.values())),
        *(_outcome(outcome, outcomes.get(outcome, 0)) for outcome in shown),
        count(passed),
        style(count(failed), BAD) if failed else "0",
    )


def _outcome(outcome: str, number: int) -> str:
    if not number:
        return NOTHING
    return style(count(number), BAD if outcome in BAD_OUTCOMES else GOOD if outcome == PASS else None)


def _utilization_row(run: HostRun) -> Row:
    found = run.utilization
    cpu = None if found.cpu_mean_percent is None else found.cpu_mean_percent / 100
    return (
        visible(run.host),
        percent(found.occupancy),
        f"{found.active_mean:.1f} of {count(found.workers)}",
        percent(cpu),
        duration(found.lifetime_min_s),
        duration(found.lifetime_median_s),
        count(round(found.attempts_per_worker, 1)),
        count(found.passes),
        of(found.units_covered, found.units_total),
        duration(found.first_pass_s),
        duration(found.span_s),
    )


def _fleet_row(report: RunReport) -> Row:
    found = report.summary
    cpu = None if found.cpu_mean_percent is None else found.cpu_mean_percent / 100
    passes = count(report.shared.passes if report.shared else found.passes_min)
    if not report.shared and found.passes_max > found.passes_min:
        passes += f" to {count(found.passes_max)}"
    return (
        style(FLEET, bold=True),
        percent(found.occupancy),
        f"{found.active_mean:.1f} of {count(found.workers)}",
        percent(cpu),
        duration(found.lifetime_min_s),
        duration(found.lifetime_median_s),
        count(round(found.attempts_per_worker, 1)),
        passes,
        of(found.units_covered, found.units_total),
        duration(found.first_pass_s),
        duration(max(run.utilization.span_s for run in report.hosts)),
    )


def _section(title: str, body: str, footer: str = "") -> str:
    return "\n".join(part for part in (style(title, bold=True), body, footer) if part) if body else ""


def _more(rows: Sequence[object]) -> str:
    left_out = len(rows) - MAX_ROWS
    return f"… and {count(left_out)} more; `--format json` has all of them" if left_out > 0 else ""
