"""`sltfleet setup`."""

from __future__ import annotations

import click

from sltfleet.cli.options import JSON, FleetOptions, finish, fleet_options, format_option


@click.command("setup", short_help="Install on the hosts what doctor found missing.")
@click.option("--dry-run", "-n", is_flag=True, help="Print the commands for every host, and run none.")
@format_option
@fleet_options
def command(options: FleetOptions, dry_run: bool, output_format: str) -> int:
    """Install what a run needs and a host lacks: rsync, python3, a linker, Rust.

    By apt where there is apt (as root, or by sudo without a password), Rust by rustup where it can be reached and as
    Debian's package where not. A host that lacks nothing is left alone.
    """
    from sltfleet.app.setup import setup
    from sltfleet.cli.steps import StepDisplay
    from sltfleet.report.doctor_tables import doctor_lines, doctor_table, setup_json
    from sltfleet.report.sanitize import visible
    from sltfleet.report.terminal import say, say_json

    with options.open() as fleet:
        with StepDisplay() as display:
            results = setup(fleet, display, dry_run=dry_run)
        if output_format == JSON:
            say_json(setup_json({name: (done.commands, done.diagnosis) for name, done in results.values.items()}))
            return finish(results)
        for name, result in results.values.items() if dry_run else ():
            say(f"{visible(name)}:" + ("" if result.commands else " nothing to do"))
            for planned in result.commands:
                say(f"  {visible(str(planned))}")
        diagnoses = [result.diagnosis for result in results.values.values() if result.diagnosis is not None]
        if diagnoses:
            say(doctor_table(diagnoses))
            for line in doctor_lines((), diagnoses):
                say(line)
        return finish(results)
