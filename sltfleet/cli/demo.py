"""`sltfleet demo`: the everyday commands, one after the other, on a fleet that exists for a minute.

Three hosts on this machine: one `local`, two over real sshd processes on 127.0.0.0/8. Everything lies in one temporary
folder, which is deleted at the end; the commands are the very ones that a person types.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import click

from sltfleet.cli.options import duration_type
from sltfleet.core.errors import ExitCode

#: Two cores share 12 workers here: each has enough to do, and the short units still get through.
_WORKERS = 4


@click.command("demo", short_help="Show all of it on this machine: three hosts, a sample suite, 30 seconds.")
@click.option(
    "--budget", "budget_s", type=duration_type(), default="30s", show_default=True, help="How long the run lasts."
)
@click.option(
    "--workers",
    "-j",
    type=click.IntRange(1, 256),
    default=_WORKERS,
    show_default=True,
    metavar="N",
    help="Workers per host.",
)
@click.option("--keep", is_flag=True, help="Keep the temporary folder, and say where it is.")
@click.option("-v", "--verbose", count=True, help="Say more; show a traceback with an error.")
def command(budget_s: float, workers: int, keep: bool, verbose: int) -> int:
    """Sync, build, run and fetch on three hosts of this machine, with a sample suite of 120 sqllogictest files.

    Two of the hosts are real sshd processes on the loopback network, with keys and settings of their own in a temporary
    folder. Some files of the suite fail, and one is flaky: the closing tables name them. Nothing is left behind but
    caches: cargo's own, and compiled dependencies in sltfleet's virtual environment.
    """
    from sltfleet.core.paths import HostPaths
    from sltfleet.demo.cache import cargo_home, default_cache, keep_target, seed_target
    from sltfleet.demo.loopback import LoopbackFleet, LoopbackHost
    from sltfleet.demo.project import PROJECT, make_project
    from sltfleet.report.terminal import tell

    folder = Path(tempfile.mkdtemp(prefix="sltfleet-demo-"))
    try:
        with LoopbackFleet([LoopbackHost("alpha"), LoopbackHost("beta")], folder / "ssh") as loopback:
            roots = {name: str(folder / "hosts" / name) for name in ("localhost", "alpha", "beta")}
            hosts: dict[str, dict[str, object]] = {name: {"root": root} for name, root in roots.items()}
            hosts["localhost"]["transport"] = "local"
            fleet = make_project(folder, hosts)
            caches = {name: default_cache(over_ssh=name != "localhost") for name in roots}
            for name, cache in caches.items():
                if cache is not None:
                    seed_target(cache, HostPaths(roots[name], PROJECT))
            common = ["--fleet", str(fleet), "--ssh-config", str(loopback.ssh_config), *["-v"] * verbose]
            code = _tour(common, budget_s, workers)
            for name, cache in caches.items():
                if cache is not None and code == ExitCode.OK:
                    home = cargo_home(over_ssh=name != "localhost")
                    keep_target(cache, HostPaths(roots[name], PROJECT), home)
        if keep:
            tell(f"kept: {folder}")
        return code
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _tour(common: list[str], budget_s: float, workers: int) -> int:
    """Run the commands of an ordinary day; the first that does not do its work ends the tour."""
    code = _type("sync", common)
    # A run whose tests failed has done its work: some of the sample's files are meant to fail.
    if code:
        return code
    try:
        started = _type("run", common, "--workers", str(workers), "--budget", f"{budget_s:g}s", "--seed", "1")
        if started not in (ExitCode.OK, ExitCode.TESTS_FAILED):
            return started
        return _type("fetch", common)
    finally:
        _end_run(common)


def _end_run(common: list[str]) -> None:
    """End what still runs: after Ctrl-C the run would go on, and the folder that it lives in is about to go."""
    from sltfleet.app.fleet import open_fleet
    from sltfleet.app.progress import silent
    from sltfleet.app.stop import stop
    from sltfleet.config.load import load_config

    fleet_path, ssh_config = Path(common[1]), common[3]
    loaded = load_config(fleet_path, ssh_config=ssh_config, environ={}, cwd=fleet_path.parent)
    with open_fleet(loaded, tuple(loaded.config.hosts)) as fleet:
        stop(fleet, None, silent)


def _type(verb: str, common: list[str], *words: str) -> int:
    """Run one command as if it had been typed, and return its exit code."""
    from sltfleet.cli.main import run
    from sltfleet.report.terminal import style, tell

    tell(style(f"\n$ sltfleet {' '.join([verb, *words])}", bold=True))
    sys.stdout.flush()
    return run([verb, *common, *words])
