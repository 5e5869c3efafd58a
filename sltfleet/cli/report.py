"""`sltfleet report`, and the tables with which `fetch` ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sltfleet.cli.options import JSON, FleetOptions, fleet_options, format_option

if TYPE_CHECKING:
    from sltfleet.core.paths import LocalPaths


@click.command("report", short_help="Show the tables of a fetched run.")
@click.argument("run", metavar="[RUN]", required=False)
@format_option
@fleet_options
def command(options: FleetOptions, run: str | None, output_format: str) -> None:
    """Show the tables of a run that was fetched: the newest, or the one that RUN names (an id, its beginning or its
    end).

    Outcomes, failing cases with their first message, flaky units, slowest units, and how busy every host was kept. With
    --host or --tag, of the run's part on these hosts.
    """
    from sltfleet.core.paths import LocalPaths

    loaded = options.load()
    show(LocalPaths(loaded.fleet_dir), run, output_format, options.named_hosts(loaded))


def show(paths: LocalPaths, run_text: str | None, output_format: str, only_hosts: tuple[str, ...] = ()) -> None:
    """Print the report of a fetched run, or of its part on `only_hosts`. Raises RunError where it was not fetched."""
    from sltfleet.app.report import gather_report
    from sltfleet.report.results_json import run_json
    from sltfleet.report.results_tables import run_tables
    from sltfleet.report.terminal import say, say_json

    report = gather_report(paths, run_text, only_hosts)
    if output_format == JSON:
        say_json(run_json(report))
    else:
        say(run_tables(report))
