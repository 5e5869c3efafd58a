"""`sltfleet stop`."""

from __future__ import annotations

import click

from sltfleet.cli.options import FleetOptions, finish, fleet_options, run_id_option


@click.command("stop", short_help="End the run on every host.")
@run_id_option
@fleet_options
def command(options: FleetOptions, run_text: str | None) -> int:
    """End the run on every selected host: its attempts are cut, and what was finished is kept.

    Only processes of the run are touched: they are known by boot id, pid, start time and environment, never by a pid
    alone.
    """
    from sltfleet.app.runs import resolve_run
    from sltfleet.app.stop import stop
    from sltfleet.cli.steps import StepDisplay

    with options.open() as fleet:
        run_id = resolve_run(fleet.paths, run_text) if run_text else None
        with StepDisplay() as display:
            results = stop(fleet, run_id, display)
        return finish(results)
