"""`sltfleet sync`."""

from __future__ import annotations

import click

from sltfleet.cli.options import JSON, FleetOptions, finish, fleet_options, format_option, take_over_option


@click.command("sync", short_help="Bring the repo to every host.")
@click.option("--dry-run", "-n", is_flag=True, help="Show what would be sent and deleted, and change nothing.")
@take_over_option
@format_option
@fleet_options
def command(options: FleetOptions, dry_run: bool, take_over: bool, output_format: str) -> int:
    """Bring the repo to every host, side by side, by rsync.

    What git ignores stays here; what was deleted here is deleted there. A sync that is interrupted leaves a mark, and
    `build` and `run` refuse to work on it until a sync is whole.

    A folder that was synced from another checkout is left alone: two with the same `project:` would replace each
    other's tree.
    """
    from sltfleet.app.sync import sync
    from sltfleet.cli.steps import StepDisplay
    from sltfleet.report.sync_tables import sync_json, sync_names, sync_table
    from sltfleet.report.terminal import say, say_json

    with options.open() as fleet:
        with StepDisplay() as display:
            results = sync(fleet, display, dry_run=dry_run, take_over=take_over)
        synced = list(results.values.values())
        if output_format == JSON:
            say_json(sync_json(synced))
        elif synced:
            say(sync_table(synced))
            for line in sync_names(synced):
                say(line)
        return finish(results)
