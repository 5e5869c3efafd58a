"""What the commands have in common: options, loading fleet.yaml, and ending with the right exit code."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

if TYPE_CHECKING:
    FloatParam = click.ParamType[float]
    from sltfleet.app.fleet import Fleet, HostResults
    from sltfleet.config.load import LoadedConfig
else:
    FloatParam = click.ParamType  # generic only from click 8.4 on, and only for type checkers

P = ParamSpec("P")
R = TypeVar("R")

TABLE, JSON = "table", "json"


class FleetOptions:
    """What `--fleet`, `--ssh-config`, `--host`, `--tag` and `-v` say."""

    def __init__(
        self, fleet: Path | None, ssh_config: str | None, hosts: tuple[str, ...], tags: tuple[str, ...], verbose: int
    ) -> None:
        self.fleet = fleet
        self.ssh_config = ssh_config
        self.hosts = hosts
        self.tags = tags
        self.verbose = verbose

    def load(self) -> LoadedConfig:
        """Return fleet.yaml, whose secrets are not shown from now on. Raises ConfigError."""
        from sltfleet.config.environments import environments
        from sltfleet.config.load import load_config
        from sltfleet.core.secret import secret_values
        from sltfleet.report.sanitize import hide_secrets

        loaded = load_config(self.fleet, ssh_config=self.ssh_config, environ=os.environ, cwd=Path.cwd())
        hide_secrets(secret_values(environments(loaded.config)))
        return loaded

    def named_hosts(self, loaded: LoadedConfig) -> tuple[str, ...]:
        """Return the hosts that `--host` and `--tag` choose, none where neither was typed. Raises UsageError."""
        from sltfleet.config.select import select_hosts

        return select_hosts(loaded.config, self.hosts, self.tags) if self.hosts or self.tags else ()

    @contextlib.contextmanager
    def open(self) -> Iterator[Fleet]:
        """Give the selected part of the fleet. Raises ConfigError and UsageError."""
        from sltfleet.app.fleet import open_fleet
        from sltfleet.config.select import select_hosts

        loaded = self.load()
        with open_fleet(loaded, select_hosts(loaded.config, self.hosts, self.tags)) as fleet:
            yield fleet


def fleet_options(function: Callable[..., R]) -> Callable[..., R]:
    """Add the options that every command on a fleet has; the command gets them as `options: FleetOptions`."""

    @click.option(
        "--fleet",
        type=click.Path(path_type=Path, dir_okay=False),
        help="The fleet.yaml to use.  [default: $SLTFLEET_FLEET, or the nearest one upwards]",
    )
    @click.option(
        "--ssh-config",
        metavar="FILE",
        help="Another ssh config than ~/.ssh/config.  [default: $SLTFLEET_SSH_CONFIG, or what fleet.yaml has]",
    )
    @click.option("--host", "-H", "hosts", multiple=True, metavar="NAME", help="Only this host (a glob; repeatable).")
    @click.option("--tag", "-t", "tags", multiple=True, metavar="TAG", help="Only hosts with this tag (repeatable).")
    @click.option("-v", "--verbose", count=True, help="Say more; show a traceback with an error.")
    @functools.wraps(function)
    def wrapper(
        *args: Any,
        fleet: Path | None,
        ssh_config: str | None,
        hosts: tuple[str, ...],
        tags: tuple[str, ...],
        verbose: int,
        **kwargs: Any,
    ) -> R:
        return function(*args, options=FleetOptions(fleet, ssh_config, hosts, tags, verbose), **kwargs)

    return wrapper


def format_option(function: Callable[P, R]) -> Callable[P, R]:
    """Add `--format table|json`, as `output_format`."""
    return click.option(
        "--format",
        "output_format",
        type=click.Choice([TABLE, JSON]),
        default=TABLE,
        show_default=True,
        help="How to print.",
    )(function)


def run_id_option(function: Callable[P, R]) -> Callable[P, R]:
    """Add `--run ID`, as `run_text`."""
    return click.option(
        "--run", "run_text", metavar="ID", help="The run: its id, or the id's beginning or end.  [default: the newest]"
    )(function)


def take_over_option(function: Callable[P, R]) -> Callable[P, R]:
    """Add `--take-over`."""
    return click.option("--take-over", is_flag=True, help="Sync also where another checkout has been.")(function)


def duration_type() -> FloatParam:
    """Return the type of an option that takes `300`, `300s`, `5m` or `1h30m`, in seconds."""
    return _Duration()


class _Duration(FloatParam):
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        from sltfleet.core.duration import parse_duration

        if isinstance(value, float):
            return value
        try:
            return parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def finish(results: HostResults[Any]) -> int:
    """Show the errors of the hosts that failed, and return the exit code: that of the first of them, or 0."""
    from sltfleet.report.problems import show_error

    for error in results.errors.values():
        show_error(error)
    return next((int(error.exit_code) for error in results.errors.values()), 0)
