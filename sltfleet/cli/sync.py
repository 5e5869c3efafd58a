"""`sltfleet sync`."""

from __future__ import annotations

import click

from sltfleet.cli.options import FleetOptions, finish, fleet_options, format_option


@click.command("sync", short_help="Bring the repo to every host.")
@click.option("--dry-run", "-n", is_flag=True, help="Show what would be sent and deleted, and change nothing.")
@format_option
@fleet_options
def command(options: FleetOptions, dry_run: bool, output_format: str) -> int:
    """Bring the repo to every host, side by side, by rsync.

    What git ignores stays here; what was deleted here is deleted there. A sync that is interrupted leaves a mark, and `build` and
    `run` refuse to work on it until a sync is whole.
    """
    from sltfleet.app.sync import sync
    from sltfleet.cli.steps import StepDisplay
    from sltfleet.report.sync_tables import show_sync

    with options.open() as fleet:
        with StepDisplay() as display:
            results = sync(fleet, display, dry_run=dry_run)
        show_sync(list(results.values.values()), output_format, verbose=options.verbose > 0 or dry_run)
        return finish(results)
