"""`sltfleet run`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from sltfleet.cli.options import JSON, FleetOptions, duration_type, fleet_options, format_option
from sltfleet.core.errors import ExitCode

R = TypeVar("R")


def run_options(function: Callable[..., R]) -> Callable[..., R]:
    """Add the options that say what a run does, as keyword arguments named like the fields of `app.run.RunOptions`."""
    decorators: tuple[Callable[[Any], Any], ...] = (
        click.option("--suite", metavar="NAME", help="The suite.  [default: default_suite, or the first]"),
        click.option(
            "--seed", type=click.IntRange(0, 2**63 - 1), metavar="N", help="Seed of the order.  [default: a random one]"
        ),
        click.option("--passes", type=click.IntRange(1), metavar="N", help="Stop after N passes, if the budget lasts."),
        click.option("--once", is_flag=True, help="One pass, no looping: the old behaviour, for comparison."),
        click.option(
            "--fail-fast", type=click.IntRange(1), metavar="N", help="Stop after N attempts that did not pass."
        ),
        click.option("--unit", "select", multiple=True, metavar="GLOB", help="Only units that match (repeatable)."),
        click.option("--replace", is_flag=True, help="End a run that is active on a host, and start this one."),
        click.option("--detach", "-d", is_flag=True, help="Start the run and do not watch it."),
        format_option,
    )
    for decorator in reversed(decorators):
        function = decorator(function)
    return function


@click.command("run", short_help="Build where needed, start a run on every host, and watch it.")
@click.option(
    "--workers",
    "-j",
    type=click.IntRange(1, 4096),
    metavar="N",
    help="Workers per host.  [default: fleet.yaml, or the host's cores]",
)
@click.option(
    "--budget", "budget_s", type=duration_type(), help="How long the run lasts: 300, 90s, 1h30m.  [default: fleet.yaml]"
)
@run_options
@fleet_options
def command(options: FleetOptions, suite: str | None, detach: bool, output_format: str, **wanted: Any) -> int:
    """Build where needed, start a runner on every selected host, and watch the run.

    The runners keep every worker busy until the budget's last second: they cover every unit, and go round again. Ctrl-C
    leaves the run running; `sltfleet status` shows it from any terminal. Ends with exit code 1 when attempts failed.

    \b
    Examples:
      sltfleet run --host big-1 --workers 64         one host, and its workers
      sltfleet run --tag big --budget 1h30m -d       start it, and come back later
      sltfleet run --unit 'joins/**' --passes 1      each of these units once
    """
    return start_and_watch(options, suite, detach, output_format, wanted)


def start_and_watch(
    options: FleetOptions, suite: str | None, detach: bool, output_format: str, wanted: dict[str, Any]
) -> int:
    """Do what `run` does, with the options as they were typed."""
    from sltfleet.app.run import RunOptions
    from sltfleet.cli.running import come_back, conclude, start, watch
    from sltfleet.report.terminal import say_json, tell

    with options.open() as fleet:
        started = start(fleet, suite, RunOptions(**wanted))
        failed = next((int(error.exit_code) for error in started.launched.errors.values()), ExitCode.OK)
        if not started.launched.values:
            return failed
        if detach:
            if output_format == JSON:
                say_json({"run": started.run_id, "hosts": list(started.launched.values)})
            tell(come_back(started.run_id))
            return failed
        ended = conclude(watch(fleet, started), started.run_id, output_format)
        return failed or ended
