"""`sltfleet logs`."""

from __future__ import annotations

import click

from sltfleet.cli.options import FleetOptions, fleet_options, run_id_option
from sltfleet.core.errors import ExitCode, FleetError


@click.command("logs", short_help="Show what the runners write.")
@click.option("--follow", "-f", is_flag=True, help="Go on until the run has ended everywhere.")
@click.option("--failed", is_flag=True, help="Only attempts that did not pass.")
@click.option("--runner", "runner_log", is_flag=True, help="The runner's own log instead of its attempts.")
@run_id_option
@fleet_options
def command(options: FleetOptions, follow: bool, failed: bool, runner_log: bool, run_text: str | None) -> int:
    """Show the last attempts of every host, one line each; with -f also those to come.

    \b
    Examples:
      sltfleet logs -f --failed          what fails, as it fails
      sltfleet logs --runner -H alpha    why a runner is gone
    """
    from sltfleet.app.logs import read_logs
    from sltfleet.app.runs import resolve_run
    from sltfleet.app.status import poll_host
    from sltfleet.report.log_lines import log_line
    from sltfleet.report.problems import show_error
    from sltfleet.report.sanitize import visible
    from sltfleet.report.terminal import say, tell

    code = ExitCode.OK

    def failing(_host: str, error: FleetError) -> None:
        nonlocal code
        code = error.exit_code
        show_error(error)

    def idle(host: str) -> None:
        what = f"has no run {run_id}" if run_id else "has no run yet"
        tell(f"{visible(host)}: {what}; `sltfleet status` shows what every host is doing")

    with options.open() as fleet:
        run_id = resolve_run(fleet.paths, run_text) if run_text else None
        lines = read_logs(
            fleet,
            run_id,
            follow=follow,
            runner_log=runner_log,
            condition=lambda host, run_id: poll_host(host, run_id).condition,
            on_error=failing,
            on_idle=idle,
        )
        for line in lines:
            text = log_line(line.host, line.event, line.text, only_bad=failed)
            if text is not None:
                say(text)
    return code
