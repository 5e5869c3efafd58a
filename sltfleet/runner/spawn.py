"""Starts an attempt: its arguments, its environment, its working directory, its process.

The process is the leader of a process group of its own, with no blocked and no ignored signal, its input /dev/null and
its output the slot's file. It gets the runner's environment, what cargo sets when it runs a test, the mark by which its
descendants are known, and the suite's own variables.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
from functools import lru_cache
from typing import Dict, List, Mapping, Sequence, Tuple

from sltfleet.runner.libtest import run_arguments
from sltfleet.runner.messages import Attempt
from sltfleet.runner.paths import RunPaths
from sltfleet.runner.processes import FOLDER_MARK, MARK
from sltfleet.runner.tree import library_folders
from sltfleet.runner.units import Unit
from sltfleet.runner.views import make_view
from sltfleet.wire.spec import CommandUnits, LibtestUnits, Spec
from sltfleet.wire.template import expand_template

PER_WORKER = "per-worker"

#: Attempts of a later pass give way to those that an older pass still waits for: each step of nice is about a tenth
#: of CPU weight (sched(7): 110 at nice 10, 36 at 15). docs/decisions/006-later-passes-give-way.md has the numbers.
AHEAD_NICE = 5

#: The kernel knows no nicer value.
NICEST = 19


def template_values(spec: Spec, unit: Unit, attempt: Attempt, remaining_s: float, binary: str) -> Dict[str, str]:
    """Return the value of every placeholder for an attempt; `binary` is the executable as copied for the run."""
    return {
        **unit.values,
        "binary": binary,
        "worker": str(attempt.worker),
        "workers": str(spec.workers),
        "pass": str(attempt.pass_number),
        "attempt": str(attempt.number),
        "seed": str(attempt.seed),
        "timeout": str(max(1, int(attempt.timeout_s))),
        "budget": str(max(1, math.floor(remaining_s))),
        "run": spec.run_id,
    }


def binary_environment(base: Mapping[str, str], built: str, folder: str) -> Dict[str, str]:
    """Return `base` with what cargo sets for the executable that it built as `built` and that runs in `folder`."""
    environment = dict(base)
    if built:
        environment["LD_LIBRARY_PATH"] = _library_path(built, base.get("LD_LIBRARY_PATH", ""))
        environment["CARGO_MANIFEST_DIR"] = folder
    return environment


@lru_cache(maxsize=None)  # once for every executable of the run, not for every attempt
def _library_path(built: str, inherited: str) -> str:
    return ":".join(filter(None, (*library_folders(built), inherited)))


def attempt_environment(
    base: Mapping[str, str],
    spec: Spec,
    attempt: Attempt,
    values: Mapping[str, str],
    folder: str,
    run_dir: str,
    built: str,
) -> Dict[str, str]:
    """Return the environment of an attempt of the executable `built` ("" for none) that runs in `folder`, on top of
    `base`. Raises TemplateError.
    """
    environment = binary_environment(base, built, folder)
    for name, text in spec.env.items():
        environment[name] = expand_template(text, values)
    environment[MARK] = f"{spec.run_id}:{attempt.number}"
    environment[FOLDER_MARK] = run_dir
    return environment


def own_environment(environ: Mapping[str, str]) -> Dict[str, str]:
    """Return what attempts get of the runner's environment: all but sltfleet's own variables."""
    return {name: value for name, value in environ.items() if not name.startswith("SLTFLEET_")}


class Spawner:
    """Starts the attempts of a run."""

    def __init__(self, spec: Spec, paths: RunPaths, base: Mapping[str, str]) -> None:
        self._spec = spec
        self._paths = paths
        self._base = base
        #: Names that are the same for every attempt: made once each.
        self._binaries: Dict[str, str] = {}
        self._folders: Dict[Tuple[int, str], str] = {}
        self._ignored = [number for number in signal.valid_signals() if signal.getsignal(number) == signal.SIG_IGN]

    def binary(self, unit: Unit) -> str:
        """Return the run's copy of a unit's executable, "" where it has none."""
        built = built_path(self._spec, unit)
        if built not in self._binaries:
            self._binaries[built] = self._paths.binary(built) if built else ""
        return self._binaries[built]

    def folder(self, worker: int, unit: Unit) -> str:
        """Return the working directory of a worker's attempts of a unit."""
        package_dir = unit.binary.package_dir if unit.binary else self._spec.package_dir
        if (worker, package_dir) not in self._folders:
            root = self._paths.view(worker) if self._spec.workdir == PER_WORKER else self._paths.tree
            self._folders[worker, package_dir] = os.path.normpath(os.path.join(root, package_dir))
        return self._folders[worker, package_dir]

    def command(
        self, attempt: Attempt, units: Sequence[Unit], values: Mapping[str, str]
    ) -> Tuple[str, List[str], Dict[str, str]]:
        """Return the working directory, the arguments and the environment of an attempt of `units` (several only of
        one libtest executable). Raises TemplateError.
        """
        folder = self.folder(attempt.worker, units[0])
        built = built_path(self._spec, units[0])
        arguments = command_words(self._spec, units, values)
        environment = attempt_environment(self._base, self._spec, attempt, values, folder, self._paths.root, built)
        return folder, arguments, environment

    def spawn(
        self, attempt: Attempt, units: Sequence[Unit], values: Mapping[str, str], output: str, *, ahead: bool
    ) -> int:
        """Start an attempt of `units` that prints into the file `output`; one that is `ahead` gets less of the CPU.

        Returns its pid. Raises OSError and TemplateError.
        """
        folder, arguments, environment = self.command(attempt, units, values)
        self._enter(folder, attempt.worker)
        pid = os.posix_spawnp(  # looks on the PATH only for a word without a slash
            arguments[0],
            arguments,
            environment,
            file_actions=_standard_files(output),
            setpgroup=0,
            setsigmask=(),
            setsigdef=self._ignored,
        )
        nice = min(NICEST, self._spec.limits.nice + (AHEAD_NICE if ahead else 0))
        with contextlib.suppress(OSError):  # it may be gone already, or the host forbids it: not worth an attempt
            os.setpriority(os.PRIO_PROCESS, pid, nice)
        return pid

    def _enter(self, folder: str, worker: int) -> None:
        """Go where the attempt is to run: posix_spawn has no working directory. Raises OSError.

        Always by name, since a test may have deleted the folder that the runner is in; a worker's own is made again
        then, so that only the test that did it has to do with it.
        """
        try:
            os.chdir(folder)
        except FileNotFoundError:
            if self._spec.workdir != PER_WORKER:
                raise
            make_view(self._paths.tree, self._paths.view(worker), *self._spec.package_dirs)
            os.chdir(folder)


def built_path(spec: Spec, unit: Unit) -> str:
    """Return the path under which a unit's executable was built, "" where it has none."""
    return unit.binary.path if unit.binary else spec.binary


def command_words(spec: Spec, units: Sequence[Unit], values: Mapping[str, str]) -> List[str]:
    """Return the command that runs `units`, whose executable is `values["binary"]`. Raises TemplateError."""
    arguments = [expand_template(text, values) for text in spec.args]
    if isinstance(spec.units, CommandUnits):
        return [*(expand_template(text, values) for text in spec.units.program), *arguments]
    if isinstance(spec.units, LibtestUnits):
        tests = [unit.values["test"] for unit in units]
        return [values["binary"], *run_arguments(tests, spec.units.ignored), *arguments]
    return [values["binary"], *arguments]


def _standard_files(output: str) -> List[Tuple[object, ...]]:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
    return [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, output, flags, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
