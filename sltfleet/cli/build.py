"""`sltfleet build`."""

from __future__ import annotations

import click

from sltfleet.cli.options import JSON, FleetOptions, fleet_options, format_option
from sltfleet.cli.running import finish_build


@click.command("build", short_help="Build the suite once per host.")
@click.option("--suite", metavar="NAME", help="The suite.  [default: default_suite, or the first]")
@click.option("--force", is_flag=True, help="Ask cargo even where nothing has changed.")
@format_option
@fleet_options
def command(options: FleetOptions, suite: str | None, force: bool, output_format: str) -> int:
    """Run `cargo test --no-run` once per host, with a CARGO_TARGET_DIR of the project's own.

    A host where nothing has changed since its last build is left alone. A compile error is shown once, with the hosts
    that have it.
    """
    from sltfleet.app.build import build
    from sltfleet.cli.steps import StepDisplay
    from sltfleet.report.sync_tables import build_json, build_table
    from sltfleet.report.terminal import say, say_json

    with options.open() as fleet:
        name, suite_config = fleet.suite(suite)
        with StepDisplay() as display:
            results = build(fleet, name, suite_config, display, force=force, verbose=options.verbose > 0)
        built = list(results.values.values())
        if output_format == JSON:
            say_json(build_json(built))
        elif built:
            say(build_table(built))
        return finish_build(results)
