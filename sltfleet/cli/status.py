"""`sltfleet status`."""

from __future__ import annotations

import click

from sltfleet.cli.options import JSON, FleetOptions, fleet_options, format_option, run_id_option
from sltfleet.core.errors import ExitCode, UsageError


@click.command("status", short_help="Show what every host is doing.")
@click.option(
    "--watch", "-w", is_flag=True, help="Show it until the run has ended everywhere (Ctrl-C leaves it running)."
)
@run_id_option
@format_option
@fleet_options
def command(options: FleetOptions, watch: bool, run_text: str | None, output_format: str) -> int:
    """Show what every host is doing: one round trip per host, at any time, from any terminal.

    States: running, finished, stopped, lost (the runner is gone and never said goodbye), stalled, unreachable,
    unreadable (another version of sltfleet ran it), idle. With -v also what each worker is at. Exit code 3 when a host
    is unreachable, its runner is lost, or its run is unreadable.
    """
    from sltfleet.app.runs import resolve_run
    from sltfleet.app.status import fleet_status
    from sltfleet.cli.running import watch_run
    from sltfleet.core.polling import IDLE, LOST, UNREACHABLE, UNREADABLE
    from sltfleet.report.sanitize import visible
    from sltfleet.report.status_tables import problem_lines, status_json, status_table, status_title, worker_table
    from sltfleet.report.terminal import say, say_json, tell

    if watch and output_format == JSON:
        raise UsageError("--watch redraws a table", fix="leave it out for --format json, and ask again when you like")
    with options.open() as fleet:
        run_id = resolve_run(fleet.paths, run_text) if run_text else None
        statuses = fleet_status(fleet, run_id)
        if watch:
            newest = max((status.run_id for status in statuses if status.run_id), default=None)
            statuses = watch_run(fleet, run_id, f"run {newest or '-'}")
    if output_format == JSON:
        say_json(status_json(statuses))
    else:
        title = status_title(statuses)
        say(f"{title}\n{status_table(statuses)}" if title else status_table(statuses))
        for status in statuses if options.verbose else []:
            if status.state is not None:
                suite = visible(status.state.suite, limit=60)
                say(f"\n{visible(status.host)}: run {status.run_id}, suite {suite}\n{worker_table(status)}")
        for line in problem_lines(statuses):
            tell(line)
        if statuses and all(status.condition == IDLE for status in statuses):
            tell(f"no host has run {run_id}" if run_id else "no run yet: `sltfleet run` starts one")
    bad = (UNREACHABLE, UNREADABLE, LOST)
    return ExitCode.HOST if any(status.condition in bad for status in statuses) else ExitCode.OK
