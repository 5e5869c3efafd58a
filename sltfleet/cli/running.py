"""What `run`, `quick`, `build` and `demo` share: starting a run, watching it, and saying how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from sltfleet.cli.options import JSON, TABLE
from sltfleet.core.errors import ExitCode

if TYPE_CHECKING:
    from sltfleet.app.fleet import Fleet, Host, HostResults
    from sltfleet.app.run import RunOptions, StartedRun
    from sltfleet.core.polling import HostStatus

T = TypeVar("T")

#: How often the display of a watched run is redrawn at most.
_REDRAW_S = 0.5


def start(fleet: Fleet, suite: str | None, options: RunOptions) -> StartedRun:
    """Build and start a run with a display of the steps, and show what kept hosts out of it."""
    from sltfleet.app.run import start_run
    from sltfleet.cli.steps import StepDisplay
    from sltfleet.report.terminal import tell

    with StepDisplay() as display:
        started = start_run(fleet, suite, options, display)
    finish_build(started.launched)
    if started.launched.values:
        hosts = ", ".join(started.launched.values)
        tell(f"run {started.run_id}: suite {started.suite}, seed {started.seed}, on {hosts}")
    return started


def finish_build(results: HostResults[T]) -> int:
    """Show the errors of a fan-out, compile errors once per distinct error, and return the exit code."""
    from sltfleet.core.cargo_failures import distinct_errors
    from sltfleet.report.problems import show_error

    for distinct in distinct_errors(results.errors):
        show_error(distinct.error, distinct.hosts)
    return next((int(error.exit_code) for error in results.errors.values()), 0)


def watch(fleet: Fleet, started: StartedRun) -> list[HostStatus] | None:
    """Show a run until it has ended everywhere; return the last statuses, None where Ctrl-C detached from it."""
    from sltfleet.core.duration import format_duration

    hosts = tuple(host for host in fleet.hosts if host.name in started.launched.values)
    title = f"run {started.run_id}  suite {started.suite}  budget {format_duration(started.budget_s)}"
    try:
        return watch_run(fleet, started.run_id, title, hosts)
    except KeyboardInterrupt:
        return None


def watch_run(fleet: Fleet, run_id: str | None, title: str, hosts: tuple[Host, ...] | None = None) -> list[HostStatus]:
    """Show a run until it has ended on all `hosts`, and return the last statuses."""
    from sltfleet.app.watch import Watcher
    from sltfleet.report.live import WatchDisplay

    with Watcher(fleet, run_id, hosts=hosts) as watcher:
        with WatchDisplay(title) as display:
            while not watcher.settled():
                watcher.wait(_REDRAW_S)
                display.show(watcher.latest())
        return watcher.latest()


def conclude(statuses: list[HostStatus] | None, run_id: str, output_format: str = TABLE) -> int:
    """Print how a watched run ended, or how to come back to it, and return the exit code."""
    from sltfleet.core.polling import IDLE, LOST, UNREACHABLE, UNREADABLE
    from sltfleet.report.status_tables import bad_attempts, problem_lines, status_json, status_table
    from sltfleet.report.terminal import say, say_json, tell

    if statuses is None:
        tell(come_back(run_id))
        # Not 0: a script must not take a run that it has left for one that passed.
        return ExitCode.INTERRUPTED
    if output_format == JSON:
        say_json(status_json(statuses))
    else:
        say(status_table(statuses))
    for line in problem_lines(statuses):
        tell(line)
    tell("`sltfleet fetch` brings journals, logs and artifacts here, and shows the tables")
    if any(status.condition in (LOST, UNREACHABLE, UNREADABLE, IDLE) for status in statuses):
        return ExitCode.HOST
    if any(status.state is not None and status.state.reason == "error" for status in statuses):
        return ExitCode.RUN
    return ExitCode.TESTS_FAILED if bad_attempts(statuses) else ExitCode.OK


def come_back(run_id: str) -> str:
    """Return the line that says how to come back to a run."""
    return (
        f"run {run_id} goes on: `sltfleet status --watch` shows it, `sltfleet logs -f` follows it, "
        "`sltfleet stop` ends it, `sltfleet fetch` brings its results"
    )
