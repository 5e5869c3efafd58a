"""`sltfleet clean`."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from sltfleet.cli.options import JSON, FleetOptions, duration_type, finish, fleet_options, format_option
from sltfleet.core.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from sltfleet.core.cleaning import CleanPlan


@click.command("clean", short_help="Delete old runs, build folders or the whole project on the hosts.")
@click.option("--keep", type=click.IntRange(0), metavar="N", help="Delete all runs but the N newest.")
@click.option(
    "--older-than", "older_than_s", type=duration_type(), metavar="TIME", help="Delete runs older than 7d, 12h, …"
)
@click.option("--target", is_flag=True, help="Delete the build (CARGO_TARGET_DIR).")
@click.option("--all", "everything", is_flag=True, help="Delete the project's whole folder on the hosts.")
@click.option(
    "--local", "local_only", is_flag=True, help="Delete fetched runs here, beside fleet.yaml, and nothing on the hosts."
)
@click.option("--dry-run", "-n", is_flag=True, help="Show what would be deleted, and delete nothing.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@format_option
@fleet_options
def command(
    options: FleetOptions,
    keep: int | None,
    older_than_s: float | None,
    target: bool,
    everything: bool,
    local_only: bool,
    dry_run: bool,
    yes: bool,
    output_format: str,
) -> int:
    """Show what would be deleted and how much it frees, ask, and delete it.

    Only below a project folder with sltfleet's own mark, and never while a run is active there.

    \b
    Examples:
      sltfleet clean --keep 5 --older-than 7d    older runs, but never the 5 newest
      sltfleet clean --local --keep 20           fetched runs here
      sltfleet clean --all --host spare          everything of this project there
    """
    from sltfleet.app.clean import execute_hosts, execute_local, plan_hosts, plan_local
    from sltfleet.cli.steps import StepDisplay
    from sltfleet.core.cleaning import CleanRequest
    from sltfleet.core.size import format_size
    from sltfleet.report.clean_tables import plan_json, plan_table
    from sltfleet.report.terminal import say, say_json, tell

    def show(plans: Mapping[str, CleanPlan]) -> None:
        if output_format == JSON:
            say_json(plan_json(plans))
        else:
            say(plan_table(plans))

    request = CleanRequest(keep=keep, older_than_s=older_than_s, target=target, everything=everything)
    with options.open() as fleet:
        if local_only:
            plan = plan_local(fleet.paths, request, time.time())
            show({"here": plan})
            if dry_run or not plan.deletions or not _agreed(yes):
                return ExitCode.OK
            tell(f"{format_size(execute_local(fleet.paths, plan).size_bytes)} freed")
            return ExitCode.OK
        with StepDisplay(quiet=True) as display:
            plans = plan_hosts(fleet, request, display)
        code = finish(plans)
        if plans.values:
            show(plans.values)
        if dry_run or not any(plan.deletions for plan in plans.values.values()) or not _agreed(yes):
            return code
        with StepDisplay() as display:
            cleaned = execute_hosts(fleet, plans.values, display)
        return finish(cleaned) or code


def _agreed(yes: bool) -> bool:
    if yes:
        return True
    try:
        return click.confirm("delete this?", err=True)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        click.echo(err=True)  # the question's line has no end yet
        raise UsageError("nothing was deleted", "nobody is there to answer", "--yes deletes without asking") from None
