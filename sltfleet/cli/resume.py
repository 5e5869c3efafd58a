"""`sltfleet resume`."""

from __future__ import annotations

import click

from sltfleet.cli.options import JSON, FleetOptions, fleet_options, format_option
from sltfleet.core.errors import ExitCode


@click.command("resume", short_help="Go on with a run whose runner was lost or stopped.")
@click.argument("run", metavar="[RUN]", required=False)
@click.option("--detach", "-d", is_flag=True, help="Do not watch it.")
@format_option
@fleet_options
def command(options: FleetOptions, run: str | None, detach: bool, output_format: str) -> int:
    """Go on with the rest of a run's budget where its runner was killed, its host rebooted, or a person stopped it: the
    newest run, or the one that RUN names (an id, its beginning or its end).

    What is left of the lost runner's attempts is ended first; they are recorded as cut, and what was finished counts as
    before. The time in between does not. A host on which the run goes on, or came to its end, is left alone.
    """
    from sltfleet.app.resume import resume
    from sltfleet.app.runs import resolve_run
    from sltfleet.cli.running import come_back, conclude, watch_run
    from sltfleet.cli.steps import StepDisplay
    from sltfleet.report.problems import show_error
    from sltfleet.report.terminal import say_json, tell

    with options.open() as fleet:
        run_id = resolve_run(fleet.paths, run) if run else None
        with StepDisplay() as display:
            resumed = resume(fleet, run_id, display)
        for error in resumed.hosts.errors.values():
            show_error(error)
        failed = next((int(error.exit_code) for error in resumed.hosts.errors.values()), ExitCode.OK)
        if not resumed.going_on:
            return failed
        if detach:
            if output_format == JSON:
                say_json({"run": resumed.run_id, "hosts": list(resumed.going_on)})
            tell(come_back(resumed.run_id))
            return failed
        hosts = tuple(host for host in fleet.hosts if host.name in resumed.going_on)
        statuses = watch_run(fleet, resumed.run_id, f"run {resumed.run_id}", hosts)
        ended = conclude(statuses, resumed.run_id, output_format)
        return failed or ended
