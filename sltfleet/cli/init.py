"""`sltfleet init`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("init", short_help="Write a fleet.yaml from Cargo's own metadata.")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False, exists=True), default=Path())
@click.option("--force", is_flag=True, help="Write over a fleet.yaml that is there.")
@click.option("-v", "--verbose", count=True, expose_value=False, help="Show a traceback with an error.")
def command(directory: Path, force: bool) -> None:
    """Write DIRECTORY/fleet.yaml for the Cargo project there, with its test targets and this machine as a host."""
    from sltfleet.app.init import init_fleet, run_cargo
    from sltfleet.report.sanitize import visible
    from sltfleet.report.terminal import say, tell

    result = init_fleet(directory, force=force, run_cargo=run_cargo)
    say(f"wrote {visible(str(result.path))}")
    for note in result.notes:
        tell(visible(note))
