"""The tables and the JSON of `status`, and the lines of a run that is being watched.

The JSON's shape is documented in docs/REMOTE_TESTING.md and stable: keys may be added, none changes its meaning.
"""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from sltfleet.core.duration import format_duration
from sltfleet.core.polling import DONE, LOST, RUNNING, STALLED, STOPPED, UNREACHABLE, UNREADABLE, HostStatus
from sltfleet.core.runid import short_run_id
from sltfleet.report.sanitize import visible, visible_name
from sltfleet.report.terminal import BAD, DIM, GOOD, WARN, style
from sltfleet.report.text import count, of, percent
from sltfleet.wire.outcome import BAD as BAD_OUTCOMES
from sltfleet.wire.outcome import OUTCOMES
from sltfleet.wire.state import RUNNING as PHASE_RUNNING
from sltfleet.wire.state import State

_AFTER_A_LOSS = (
    "`sltfleet resume` goes on with the rest of the budget; `sltfleet fetch` brings what was finished; "
    "`sltfleet logs --runner` shows the runner's last words"
)

_COLOURS = {RUNNING: GOOD, DONE: GOOD, STOPPED: WARN, STALLED: BAD, LOST: BAD, UNREACHABLE: BAD, UNREADABLE: BAD}

_NUMBER_KEYS = (
    "suite",
    "workers",
    "active",
    "occupancy",
    "cpu_percent",
    "pass",
    "units_total",
    "units_covered",
    "share_total",
    "share_covered",
    "attempts",
    "outcomes",
    "cases_passed",
    "cases_failed",
    "failing",
    "elapsed_s",
    "budget_s",
    "reason",
    "quarantined",
    "fleet_covered",
    "worker_states",
)

#: The last column's names: while something runs, and when nothing does any more.
LEFT, ENDED = "time left", "ended by"

_HEADERS = (
    "host",
    "state",
    "active",
    "occupancy",
    "cpu",
    "pass",
    "covered",
    "attempts",
    "cases",
    "failing",
    LEFT,
)


def status_table(statuses: Sequence[HostStatus]) -> str:
    """Return the table of all hosts, with a fleet line below where there are several.

    Hosts that are at different runs have no sum: each has its run's short name instead.
    """
    rows = [_row(status) for status in statuses]
    headers: tuple[str, ...] = (*_HEADERS[:-1], LEFT if _runs_somewhere(statuses) else ENDED)
    if len(_runs(statuses)) > 1:
        headers = (*headers[:2], "run", *headers[2:])
        rows = [
            (*row[:2], short_run_id(status.run_id) if status.run_id else "-", *row[2:])
            for row, status in zip(rows, statuses, strict=True)
        ]
    elif len(statuses) > 1:
        rows.append(_fleet_row(statuses))
    return tabulate(rows, headers=headers, disable_numparse=True, stralign="right", colalign=("left", "left"))


def status_title(statuses: Sequence[HostStatus]) -> str:
    """Return which run the table is about; "" where the hosts are at different ones."""
    runs = _runs(statuses)
    if not runs:
        return ""
    suites = {status.state.suite for status in statuses if status.state is not None}
    suite = f": suite {visible(min(suites), limit=60)}" if len(suites) == 1 else ""
    return f"{style(f'Run {visible(min(runs), limit=40)}', bold=True)}{suite}" if len(runs) == 1 else ""


def worker_table(status: HostStatus) -> str:
    """Return the table of one host's workers: the unit, since when, attempts and occupancy of each.

    Below it stand the units in quarantine, where there are any.
    """
    state = status.state
    if state is None:
        return ""
    span_s = min(state.elapsed_s, state.budget_s)
    rows = []
    for worker in state.worker_states:
        since = "" if worker.since_s is None else format_duration(max(0.0, state.elapsed_s - worker.since_s))
        busy = percent(worker.busy_s / span_s) if span_s > 0 else "-"
        unit = "-" if worker.unit is None else visible_name(worker.unit, limit=60)
        rows.append((worker.worker, unit, since, worker.attempts, busy))
    table = tabulate(rows, headers=("worker", "unit", "since", "attempts", "occupancy"), disable_numparse=True)
    if state.quarantined:
        names = ", ".join(visible_name(unit, limit=60) for unit in state.quarantined)
        table += f"\n{style('in quarantine', WARN)}, they time out again and again: {names}"
    return table


def status_json(statuses: Sequence[HostStatus]) -> dict[str, object]:
    """Return the JSON value of `status --format json`; see docs/REMOTE_TESTING.md."""
    return {"run": max(_runs(statuses), default=None), "hosts": [_host_json(status) for status in statuses]}


def problem_lines(statuses: Sequence[HostStatus]) -> list[str]:
    """Return the lines of the hosts that have something to say beside their numbers, with what to do about it."""
    lines = _mixed_lines(statuses)
    for status in statuses:
        if status.problem:
            lines.append(f"{style(visible(status.host), bold=True)}: {visible(status.problem)}")
        elif status.condition == LOST:
            lines.append(f"{style(visible(status.host), bold=True)}: the runner is gone and never said goodbye")
            lines.append(f"  {style('next:', GOOD)} {_AFTER_A_LOSS}")
        if status.error is not None and status.error.fix:
            lines.append(f"  {style('next:', GOOD)} {visible(status.error.fix)}")
    return lines


def _runs_somewhere(statuses: Sequence[HostStatus]) -> bool:
    states = [status.state for status in statuses if status.state is not None and status.condition != LOST]
    return not states or any(state.phase == PHASE_RUNNING for state in states)


def _mixed_lines(statuses: Sequence[HostStatus]) -> list[str]:
    runs = _runs(statuses)
    if len(runs) < 2:
        return []
    newest = max(runs)
    return [
        f"the hosts are at {len(runs)} different runs, and nothing is summed; the newest is {newest}",
        f"  {style('next:', GOOD)} `sltfleet status --run {newest}` shows that one alone",
    ]


def _runs(statuses: Sequence[HostStatus]) -> set[str]:
    return {status.run_id for status in statuses if status.run_id}


def bad_attempts(statuses: Sequence[HostStatus]) -> int:
    """Return how many attempts did not pass, over all hosts: what makes a watched run end with exit code 1."""
    states = [status.state for status in statuses if status.state is not None]
    return sum(number for state in states for outcome, number in state.outcomes.items() if outcome in BAD_OUTCOMES)


def active(status: HostStatus) -> int:
    """Return how many workers are busy: none where the runner is gone, whatever it said last."""
    return 0 if status.state is None or status.condition == LOST else status.state.active


def coverage(state: State) -> tuple[int, int]:
    """Return how many units are covered, of how many: of this host's share where the hosts share the first pass."""
    if state.share_total is None:
        return state.units_covered, state.units_total
    return state.share_covered, state.share_total


def time_left(status: HostStatus) -> str:
    """Return how long the run still lasts, or why it has ended; "-" where nobody can say."""
    state = status.state
    if state is None or status.condition == LOST:
        return "-"
    if state.phase != PHASE_RUNNING:
        return visible(state.reason or state.phase, limit=20)
    return format_duration(_left_s(state))


def _row(status: HostStatus) -> tuple[str, ...]:
    name = visible(status.host)
    condition = style(status.condition, _COLOURS.get(status.condition, DIM))
    state = status.state
    if state is None:
        return (name, condition, *["-"] * (len(_HEADERS) - 2))
    cpu = "-" if state.cpu_percent is None else f"{state.cpu_percent:.0f} %"
    return (
        name,
        condition,
        f"{active(status)}/{state.workers}",
        percent(state.occupancy),
        cpu,
        str(state.pass_number),
        of(*coverage(state)),
        count(state.attempts),
        count(state.cases_passed + state.cases_failed),
        _failing(len(state.failing)),
        time_left(status),
    )


def _fleet_row(statuses: Sequence[HostStatus]) -> tuple[str, ...]:
    states = [status.state for status in statuses if status.state is not None]
    span_s = sum(state.workers * min(state.elapsed_s, state.budget_s) for state in states)
    cpus = [state.cpu_percent for state in states if state.cpu_percent is not None]
    failing = {case for state in states for case in state.failing}
    return (
        style("fleet", bold=True),
        f"{len(states)} of {len(statuses)}",
        f"{sum(map(active, statuses))}/{sum(state.workers for state in states)}",
        percent(min(1.0, sum(state.busy_s for state in states) / span_s)) if span_s > 0 else "-",
        f"{sum(cpus) / len(cpus):.0f} %" if cpus else "-",
        str(min((state.pass_number for state in states), default="-")),
        of(*_fleet_coverage(states)),
        count(sum(state.attempts for state in states)),
        count(sum(state.cases_passed + state.cases_failed for state in states)),
        _failing(len(failing)),
        _fleet_time_left(statuses),
    )


def _fleet_coverage(states: Sequence[State]) -> tuple[int, int]:
    """The sums over the hosts, of no less than the whole list: a host of which nothing is known has its share, too.

    Where hosts share a queue it tells what they cover together.
    """
    told = [state.fleet_covered for state in states if state.fleet_covered is not None]
    if told:
        return max(told), max(state.units_total for state in states)
    shares = [coverage(state) for state in states]
    total = max([sum(total for _, total in shares), *(state.units_total for state in states)])
    return sum(covered for covered, _ in shares), total


def _fleet_time_left(statuses: Sequence[HostStatus]) -> str:
    going_on = [
        status.state
        for status in statuses
        if status.state is not None and status.state.phase == PHASE_RUNNING and status.condition != LOST
    ]
    if going_on:
        return format_duration(max(map(_left_s, going_on)))
    said = {time_left(status) for status in statuses} - {"-"}
    return said.pop() if len(said) == 1 else "-"


def _failing(count: int) -> str:
    return style(str(count), BAD) if count else "0"


def _left_s(state: State) -> float:
    return max(0.0, state.budget_s - state.elapsed_s)


def _host_json(status: HostStatus) -> dict[str, object]:
    """Return one host's object: every key is always there, null where there is nothing to tell."""
    state = status.state
    value: dict[str, object] = {"host": status.host, "state": status.condition, "run": status.run_id}
    numbers = dict.fromkeys(_NUMBER_KEYS) if state is None else _numbers(state) | {"active": active(status)}
    return {**value, **numbers, "problem": status.problem or None}


def _numbers(state: State) -> dict[str, object]:
    return {
        "suite": state.suite,
        "workers": state.workers,
        "active": state.active,
        "occupancy": round(state.occupancy, 5),
        "cpu_percent": state.cpu_percent,
        "pass": state.pass_number,
        "units_total": state.units_total,
        "units_covered": state.units_covered,
        "share_total": state.share_total,
        "share_covered": None if state.share_total is None else state.share_covered,
        "attempts": state.attempts,
        "outcomes": {outcome: state.outcomes[outcome] for outcome in OUTCOMES if state.outcomes.get(outcome)},
        "cases_passed": state.cases_passed,
        "cases_failed": state.cases_failed,
        "failing": list(state.failing),
        "elapsed_s": round(state.elapsed_s, 3),
        "budget_s": state.budget_s,
        "reason": state.reason,
        "quarantined": list(state.quarantined),
        "fleet_covered": state.fleet_covered,
        "worker_states": [
            {
                "worker": worker.worker,
                "unit": worker.unit,
                "since_s": worker.since_s,
                "attempts": worker.attempts,
                "busy_s": round(worker.busy_s, 3),
            }
            for worker in state.worker_states
        ],
    }
