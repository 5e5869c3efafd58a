"""`sltfleet fetch`."""

from __future__ import annotations

import click

from sltfleet.cli.options import FleetOptions, finish, fleet_options, format_option, run_id_option


@click.command("fetch", short_help="Bring journals, logs and artifacts here, and show the tables.")
@click.option("--no-tables", is_flag=True, help="Only fetch.")
@run_id_option
@format_option
@fleet_options
def command(options: FleetOptions, no_tables: bool, run_text: str | None, output_format: str) -> int:
    """Bring journals, logs and artifacts of a run into .sltfleet/runs/, and show the tables.

    It may be repeated, also during a run: only what is new crosses the network.
    """
    from sltfleet.app.fetch import fetch
    from sltfleet.app.runs import resolve_run
    from sltfleet.cli.report import show
    from sltfleet.cli.steps import StepDisplay

    with options.open() as fleet:
        run_id = resolve_run(fleet.paths, run_text) if run_text else None
        with StepDisplay() as display:
            fetched = fetch(fleet, run_id, display)
        if not no_tables and fetched.run_id is not None:
            show(fleet.paths, fetched.run_id, output_format)
        return finish(fetched.hosts)
