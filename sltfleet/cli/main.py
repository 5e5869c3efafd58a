"""`sltfleet`: the list of commands, and the one place where an error becomes text and an exit code.

Commands are imported when they are typed: `sltfleet --help` and `status` on a local host must not pay for fabric,
pydantic or rich (measured by `scripts/bench/run startup`).
"""

from __future__ import annotations

import importlib
import os
import select
import sys

import click

from sltfleet import __version__
from sltfleet.cli.interrupt import forget_interruption, next_after, raise_on_signals
from sltfleet.core.errors import ExitCode, FleetError

PROGRAM = "sltfleet"

#: Set by the script that `sltfleet completion` prints.
COMPLETE_VARIABLE = "_SLTFLEET_COMPLETE"

#: Every command: its module below sltfleet.cli, and what `--help` says of it (a test holds it to the command's own
#: text).
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("init", "Write a fleet.yaml from Cargo's own metadata."),
    "hosts": ("hosts", "List the hosts of fleet.yaml."),
    "doctor": ("doctor", "Check that every host can be reached, built on and written to."),
    "setup": ("setup", "Install on the hosts what doctor found missing."),
    "sync": ("sync", "Bring the repo to every host."),
    "build": ("build", "Build the suite once per host."),
    "run": ("run", "Build where needed, start a run on every host, and watch it."),
    "quick": ("quick", "Sync, then run with 8 workers for 300 s."),
    "status": ("status", "Show what every host is doing."),
    "logs": ("logs", "Show what the runners write."),
    "stop": ("stop", "End the run on every host."),
    "resume": ("resume", "Go on with a run whose runner was lost or stopped."),
    "fetch": ("fetch", "Bring journals, logs and artifacts here, and show the tables."),
    "report": ("report", "Show the tables of a fetched run."),
    "repro": ("repro", "Run an attempt of a fetched run again, with the same seed, environment and binary."),
    "compare": ("compare", "Show the utilization of several runs side by side."),
    "clean": ("clean", "Delete old runs, build folders or the whole project on the hosts."),
    "schema": ("schema", "Print the JSON Schema of fleet.yaml."),
    "completion": ("completion", "Print a script that completes sltfleet's commands in a shell."),
    "demo": ("demo", "Show all of it on this machine: three hosts, a sample suite, 30 seconds."),
}


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is used, and lists them in the order of work."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order in which a person needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """Return the command, imported now."""
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"sltfleet.cli.{COMMANDS[cmd_name][0]}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Add "did you mean …?" to click's own words for an unknown command."""
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in COMMANDS:
            from sltfleet.core.nearest import did_you_mean

            hint = did_you_mean(name, COMMANDS)
            ctx.fail(f"no such command {name!r}" + (f"; {hint}" if hint else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        """Write the list of commands without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.command(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 ok, 1 tests failed, 2 usage or fleet.yaml, 3 a host, 4 sync, 5 build, 6 run, 7 doctor, "
    "8 refused, 70 a defect of sltfleet, 130 interrupted. `sltfleet COMMAND --help` says more of a command.",
)
@click.version_option(__version__, prog_name=PROGRAM)
def cli() -> None:
    """Keep every worker of every machine busy with a slow Rust test suite, to the budget's last second."""


def main() -> None:
    """Run the command line, and exit with one of `core.errors.ExitCode`."""
    raise_on_signals()
    exit_code = run(sys.argv[1:])
    forget_interruption()
    sys.exit(exit_code)


def run(argv: list[str]) -> int:
    """Run one command and return its exit code. Every error is rendered here, and nowhere else."""
    if COMPLETE_VARIABLE in os.environ:
        cli.main(prog_name=PROGRAM, complete_var=COMPLETE_VARIABLE)
    try:
        # Not `cli.main`, which ends the process with exit code 1 ("tests failed") when the reader of our output leaves.
        with cli.make_context(PROGRAM, argv) as context:
            result = cli.invoke(context)
        return int(result) if isinstance(result, int) else ExitCode.OK
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    except click.exceptions.Exit as error:
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        from sltfleet.report.problems import show_interruption

        show_interruption(next_after(argv))
        return ExitCode.INTERRUPTED
    except FleetError as error:
        from sltfleet.report.problems import show_error, show_traceback

        if wants_traceback(argv):
            show_traceback(error)
        show_error(error)
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - a defect: told as one, here where every error is told
        if isinstance(error, BrokenPipeError) and reader_left():
            return ExitCode.OK
        from sltfleet.report.problems import show_defect, show_traceback

        if wants_traceback(argv):
            show_traceback(error)
        show_defect(error)
        return ExitCode.INTERNAL


def reader_left() -> bool:
    """Whether the reader of our output is gone (`| head`): not an error, and nothing more can be said.

    A broken pipe may as well be one of ours to a child, so the kernel is asked; what is broken leads nowhere from then
    on, so that the interpreter does not stumble over it at its end.
    """
    from sltfleet.report.terminal import forget_output

    left = False
    for descriptor in (1, 2):
        poller = select.poll()
        poller.register(descriptor, 0)
        if any(event & (select.POLLERR | select.POLLHUP) for _, event in poller.poll(0)):
            left = True
            forget_output(descriptor)
    return left


def wants_traceback(argv: list[str]) -> bool:
    """Whether `-v` or `--verbose` was typed."""
    return any(word == "--verbose" or (word.startswith("-v") and set(word[1:]) == {"v"}) for word in argv)
