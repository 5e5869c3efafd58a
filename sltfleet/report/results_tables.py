"""The tables of a fetched run: outcomes, utilization, failing cases, flaky units, slowest units, and what was odd."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tabulate import tabulate

from sltfleet.core.utilization import ELAPSED
from sltfleet.report.sanitize import visible
from sltfleet.report.terminal import BAD, GOOD, WARN, style
from sltfleet.report.text import NOTHING, count, duration, of, percent
from sltfleet.results.model import FailingCase, Flaky, HostRun, RunReport, SlowUnit
from sltfleet.wire.outcome import BAD as BAD_OUTCOMES
from sltfleet.wire.outcome import FAIL, OUTCOMES, PASS

#: Of the failing and the flaky so many have a line; `--format json` has all.
MAX_ROWS = 20

#: Names and messages are cut to these widths, so that a table fits into a terminal of common width.
NAME_WIDTH = 48
MESSAGE_WIDTH = 60
MAX_HOSTS_NAMED = 3

FLEET = "fleet"

Row = Sequence[str]


def run_tables(report: RunReport) -> str:
    """Return all tables of a run, each with its title, separated by empty lines."""
    parts = [
        _title(report),
        _section("Outcomes", outcomes_table(report)),
        _section(f"Utilization, {_basis(report)}", utilization_table(report)),
        _section("Failing cases", failing_table(report.failing), _more(report.failing)),
        _section("Flaky: the same build passed and failed", flaky_table(report.flaky), _more(report.flaky)),
        _section("Slowest units", slowest_table(report.slowest)),
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
    return _table(rows, ("host", "attempts", *shown, "cases passed", "cases failed"), text_columns=1)


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
    return _table(rows, headers, text_columns=1)


def failing_table(failing: Sequence[FailingCase]) -> str:
    """Return the cases that failed, with the first message of each; "" where none did."""
    rows = [
        (
            visible(case.case, limit=NAME_WIDTH),
            style(count(case.failed), BAD),
            count(case.passed),
            _hosts(case.hosts),
            visible(case.message, limit=MESSAGE_WIDTH),
        )
        for case in failing[:MAX_ROWS]
    ]
    return _table(rows, ("case", "failed", "passed", "hosts", "first message"), text_columns=(0, 3, 4))


def flaky_table(flaky: Sequence[Flaky]) -> str:
    """Return what both passed and failed; "" where nothing did."""
    rows = [
        (
            visible(found.name, limit=NAME_WIDTH),
            found.kind,
            style(of(found.failed, found.failed + found.passed), WARN),
            percent(found.failure_rate),
            _hosts(found.hosts),
            visible(found.message, limit=MESSAGE_WIDTH),
        )
        for found in flaky[:MAX_ROWS]
    ]
    return _table(rows, ("name", "kind", "failed", "rate", "failed on", "message"), text_columns=(0, 1, 4, 5))


def slowest_table(slowest: Sequence[SlowUnit]) -> str:
    """Return the units that take longest; "" where none has a verdict."""
    rows = [
        (visible(unit.unit, limit=NAME_WIDTH), duration(unit.median_s), duration(unit.max_s), count(unit.attempts))
        for unit in slowest
    ]
    return _table(rows, ("unit", "median", "longest", "attempts"), text_columns=1)


def oddities(hosts: Iterable[HostRun]) -> list[str]:
    """Return a line for everything about a host's journal that a person should know."""
    lines = []
    for run in hosts:
        said = [*run.utilization.problems, *run.notes]
        if run.damage:
            said.append(run.damage)
        if run.utilization.reason is None:
            said.append(f"the run had not ended when it was fetched; attempts without an end: {count(run.unfinished)}")
        lines += [f"{style(visible(run.host), bold=True)}: {visible(text, limit=200)}" for text in said[:MAX_ROWS]]
        if len(said) > MAX_ROWS:
            lines.append(f"{style(visible(run.host), bold=True)}: and {len(said) - MAX_ROWS} more")
    return lines


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
    passes = count(found.passes_min)
    if found.passes_max > found.passes_min:
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


def _hosts(names: Sequence[str]) -> str:
    shown = ", ".join(visible(name) for name in names[:MAX_HOSTS_NAMED])
    left_out = len(names) - MAX_HOSTS_NAMED
    return f"{shown} and {left_out} more" if left_out > 0 else shown


def _section(title: str, body: str, footer: str = "") -> str:
    return "\n".join(part for part in (style(title, bold=True), body, footer) if part) if body else ""


def _more(rows: Sequence[object]) -> str:
    left_out = len(rows) - MAX_ROWS
    return f"… and {count(left_out)} more; `--format json` has all of them" if left_out > 0 else ""


def _table(rows: Sequence[Row], headers: Sequence[str], *, text_columns: int | Sequence[int]) -> str:
    """Return the table, its columns of text to the left and those of numbers to the right; "" without rows."""
    if not rows:
        return ""
    left = range(text_columns) if isinstance(text_columns, int) else text_columns
    align = ["left" if column in left else "right" for column in range(len(headers))]
    return tabulate(rows, headers=headers, disable_numparse=True, colalign=align)
