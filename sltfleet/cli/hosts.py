"""`sltfleet hosts`."""

from __future__ import annotations

import click

from sltfleet.cli.options import JSON, FleetOptions, fleet_options, format_option


@click.command("hosts", short_help="List the hosts of fleet.yaml.")
@format_option
@fleet_options
def command(options: FleetOptions, output_format: str) -> None:
    """List the selected hosts of fleet.yaml, without asking any of them."""
    from sltfleet.config.select import select_hosts
    from sltfleet.report.terminal import say, say_json

    loaded = options.load()
    chosen = select_hosts(loaded.config, options.hosts, options.tags)
    rows = [
        {
            "host": name,
            "transport": host.transport,
            "address": host.address or name,
            "workers": host.workers,
            "tags": list(host.tags),
            "root": host.root,
        }
        for name, host in ((name, loaded.config.hosts[name]) for name in chosen)
    ]
    if output_format == JSON:
        say_json(rows)
        return
    from tabulate import tabulate

    table = [
        (row["host"], row["transport"], row["address"], row["workers"] or "cores", ", ".join(row["tags"]), row["root"])  # type: ignore[arg-type]
        for row in rows
    ]
    say(tabulate(table, headers=("host", "transport", "address", "workers", "tags", "root"), disable_numparse=True))
