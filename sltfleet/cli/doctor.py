"""`sltfleet doctor`."""

from __future__ import annotations

import click

from sltfleet.cli.options import JSON, FleetOptions, fleet_options, format_option
from sltfleet.core.errors import ExitCode


@click.command("doctor", short_help="Check that every host can be reached, built on and written to.")
@click.option("--suite", metavar="NAME", help="Also run this suite's canaries: do its verdicts tell the truth?")
@format_option
@fleet_options
def command(options: FleetOptions, suite: str | None, output_format: str) -> int:
    """Check everything that a run needs, in one round trip per host: the way there, the tools, room, cores, clock and
    rights.

    Each finding has its fix; most are done by `sltfleet setup`. Exit code 7 when something keeps the fleet from
    working.

    With --suite the suite is built where needed, and the two units of its `canary` are run on every host that is fit
    for it. Exit code 7 as well when the failing one passes, or the passing one fails.
    """
    from sltfleet.app.canary import canaries, check_canaries, suites_without_canary
    from sltfleet.app.doctor import check_controller, doctor
    from sltfleet.cli.steps import StepDisplay
    from sltfleet.core.findings import Level
    from sltfleet.report.doctor_tables import doctor_json, doctor_lines, doctor_table, worst_level
    from sltfleet.report.terminal import say, say_json

    with options.open() as fleet, StepDisplay() as display:
        chosen = canaries(fleet, suite) if suite is not None else None
        controller = check_controller(fleet) + (suites_without_canary(fleet) if chosen is None else ())
        diagnoses = list(doctor(fleet, display).values.values())
        if chosen is not None:
            diagnoses = check_canaries(fleet, chosen, diagnoses, display)
    if output_format == JSON:
        say_json(doctor_json(controller, diagnoses))
    else:
        say(doctor_table(diagnoses))
        for line in doctor_lines(controller, diagnoses, verbose=options.verbose > 0):
            say(line)
    return ExitCode.DOCTOR if worst_level(controller, diagnoses) >= Level.ERROR else ExitCode.OK
