"""`sltfleet quick`."""

from __future__ import annotations

from typing import Any

import click

from sltfleet.cli.options import FleetOptions, duration_type, finish, fleet_options, take_over_option
from sltfleet.cli.run import run_options, start_and_watch


@click.command("quick", short_help="Sync, then run with 8 workers for 300 s.")
@click.option(
    "--workers", "-j", type=click.IntRange(1, 4096), default=8, show_default=True, metavar="N", help="Workers per host."
)
@click.option(
    "--budget", "budget_s", type=duration_type(), default="300s", show_default=True, help="How long the run lasts."
)
@take_over_option
@run_options
@fleet_options
def command(
    options: FleetOptions, suite: str | None, detach: bool, take_over: bool, output_format: str, **wanted: Any
) -> int:
    """Sync, build and run in one go: 8 workers per host for 300 seconds, unless told otherwise.

    Hosts that cannot be synced are named and left out.
    """
    from sltfleet.app.sync import sync
    from sltfleet.cli.steps import StepDisplay

    with options.open() as fleet:
        with StepDisplay() as display:
            synced = sync(fleet, display, take_over=take_over)
        code = finish(synced)
        if not synced.values:
            return code
    # Host names are checked by the configuration: none of them is a glob that would match others.
    options.hosts, options.tags = tuple(synced.values), ()
    ended = start_and_watch(options, suite, detach, output_format, wanted)
    return code or ended
