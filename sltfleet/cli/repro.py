"""`sltfleet repro`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sltfleet.cli.options import FleetOptions, fleet_options
from sltfleet.core.errors import ExitCode

if TYPE_CHECKING:
    from sltfleet.app.repro import Plan, Reproduced


@click.command("repro", short_help="Run an attempt of a fetched run again, with the same seed, environment and binary.")
@click.argument("run")
@click.argument("case")
@click.option("--local", is_flag=True, help="Run it on this machine, where it has that build.")
@click.option(
    "--times",
    type=click.IntRange(1, 100_000),
    default=1,
    show_default=True,
    metavar="N",
    help="Run it N times in a row.",
)
@click.option("--print", "only_print", is_flag=True, help="Print the shell line that runs it, and do not run it.")
@fleet_options
def command(options: FleetOptions, run: str, case: str, local: bool, times: int, only_print: bool) -> int:
    """Run the first attempt that failed CASE in RUN again, on the host where it ran, and show what it prints.

    CASE is a failing case or a unit; RUN is the id of a fetched run, its beginning or its end. Everything is as it was:
    the unit, worker number, seed, environment, working directory and the run's own copy of the executable and the tree.
    Only a test that shared its process with others (units.batch) runs alone. --host chooses among several hosts.
    Exit code 0 when it passed every time, 1 when it failed, 6 when it cannot be run (the run was cleaned up on the
    host, or is still active there), 3 when the host cannot be reached.

    \b
    Examples:
      sltfleet repro 4f9d2b joins/outer.test --times 50    how often does it fail?
      sltfleet repro 4f9d2b joins/outer.test --print       the line for a debugger
    """
    from sltfleet.app.fleet import open_fleet
    from sltfleet.app.repro import passed, plan_repro, print_line, run_again
    from sltfleet.report.sanitize import visible
    from sltfleet.report.terminal import say, tell

    loaded = options.load()
    only = options.named_hosts(loaded)
    # All hosts: with --local it is not the one on which the attempt failed.
    with open_fleet(loaded, tuple(loaded.config.hosts)) as fleet:
        plan = plan_repro(fleet, run, case, only, local=local)
        if only_print:
            say(visible(print_line(fleet, plan)))
            return ExitCode.OK
        tell(_headline(plan))
        results = run_again(
            fleet,
            plan,
            times,
            on_line=lambda line: say(visible(line, one_line=False)),
            on_result=lambda result: tell(_result_line(result)),
        )
        if times > 1:
            bad = sum(not passed([result]) for result in results)
            tell(f"{bad} of {len(results)} did not pass")
        return ExitCode.OK if passed(results) else ExitCode.TESTS_FAILED


def _headline(plan: Plan) -> str:
    from sltfleet.report.sanitize import visible, visible_name

    past = plan.attempt
    return (
        f"run {past.run_id}, attempt {past.attempt} of {visible(past.host)} (it was: {visible(past.outcome)}), on "
        f"{visible(plan.host.name)}: {visible_name(past.unit)}, worker {past.worker}, pass {past.pass_number}, "
        f"seed {past.seed}"
    )


def _result_line(result: Reproduced) -> str:
    from sltfleet.app.repro import passed
    from sltfleet.report.sanitize import visible
    from sltfleet.report.terminal import BAD, GOOD, style

    good = passed([result])
    how = f"signal {result.signal}" if result.exit_code is None else f"exit code {result.exit_code}"
    message = f": {visible(result.message, limit=300)}" if result.message else ""
    outcome = style(visible(result.outcome), GOOD if good else BAD)
    return f"{style('✓', GOOD) if good else style('✗', BAD)} {outcome} after {result.duration_s:.1f} s, {how}{message}"
