"""`sltfleet schema`."""

from __future__ import annotations

import click


@click.command("schema", short_help="Print the JSON Schema of fleet.yaml.")
@click.option("-v", "--verbose", count=True, expose_value=False, help="Show a traceback with an error.")
def command() -> None:
    """Print the JSON Schema of fleet.yaml, so that an editor can complete and check the file.

    Save it, and put `# yaml-language-server: $schema=FILE` on the first line of fleet.yaml.
    """
    from sltfleet.config.schema import json_schema
    from sltfleet.report.terminal import say_json

    say_json(json_schema())
