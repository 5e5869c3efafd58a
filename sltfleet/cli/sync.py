"""`sltfleet sync`."""

from __future__ import annotations

import click

from sltfleet.cli.options import JSON, FleetOptions, finish, fleet_options, format_option


@click.command("sync", short_help="Bring the repo to every host.")
@click.option("--dry-run", "-n", is_flag=True, help="Show what would be sent and deleted, and change nothing.")
@format_option
@fleet_options
def command(options: FleetOptions, dry_run: bool, output_format: str) -> int:
    """Bring the repo to every host, side by side, by rsync.

    What git ignores stays here; what was deleted here is deleted there. A sync that is interrupted leaves a mark, and
    `build` and `run` refuse to work on it until a sync is whole.
    """
    from sltfleet.app.sync import sync
    from sltfleet.cli.steps import StepDisplay
    from sltfleet.report.sync_tables import sync_json, sync_names, sync_table
    from sltfleet.report.terminal import say, say_json

    with options.open() as fleet:
        with StepDisplay() as display:
            results = sync(fleet, display, dry_run=dry_run)
        synced = list(results.values.values())
        if output_format == JSON:
            say_json(sync_json(synced))
        elif synced:
            say(sync_table(synced))
            for line in sync_names(synced):
                say(line)
        return finish(results)
