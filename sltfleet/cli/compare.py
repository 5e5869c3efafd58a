"""`sltfleet compare`."""

from __future__ import annotations

import click

from sltfleet.cli.options import JSON, FleetOptions, fleet_options, format_option


@click.command("compare", short_help="Show the utilization of several runs side by side.")
@click.argument("runs", metavar="[RUN]...", nargs=-1)
@format_option
@fleet_options
def command(options: FleetOptions, runs: tuple[str, ...], output_format: str) -> None:
    """Show how busy the workers of several fetched runs were, side by side: RUN is an id, its beginning or its end.

    Without RUN, the two newest. With --host or --tag, of the runs' parts on these hosts.
    """
    from sltfleet.app.compare import gather_comparison
    from sltfleet.core.paths import LocalPaths
    from sltfleet.report.comparison_table import comparison_table
    from sltfleet.report.results_json import comparison_json
    from sltfleet.report.terminal import say, say_json

    loaded = options.load()
    reports = gather_comparison(LocalPaths(loaded.fleet_dir), runs, options.named_hosts(loaded))
    if output_format == JSON:
        say_json(comparison_json(reports))
    else:
        say(comparison_table(reports))
