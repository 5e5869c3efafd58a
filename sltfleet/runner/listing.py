"""Asks programs what units there are, once, at the launch: libtest executables, and the command `lines_of`.

What they say is kept in the run's folder, so that launch and run speak of the same units. A program that does not
answer, or says something else, refuses the launch: half of a list would look like a whole one.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import time
from typing import Dict, List, Mapping, Sequence

from sltfleet.runner.files import write_file
from sltfleet.runner.libtest import list_arguments, read_list
from sltfleet.runner.paths import RunPaths
from sltfleet.runner.spawn import binary_environment
from sltfleet.runner.units import LINES, Listed
from sltfleet.wire import globs
from sltfleet.wire.spec import CommandUnits, LibtestUnits, Spec
from sltfleet.wire.template import TemplateError, expand_template

#: So long all lists of a launch together may take.
LIST_LIMIT_S = 100.0

#: A line longer than this names no unit: ids stand in every line of the journal.
MAX_UNIT_CHARS = 1000

_FIX = "an executable with a `main` of its own (harness = false) is left out by `units.exclude`: {id} in it"


class ListingError(Exception):
    """A program did not list its units."""

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(problem)
        self.fix = fix


def make_listing(spec: Spec, paths: RunPaths, base: Mapping[str, str]) -> Listed:
    """Return what the programs of a run list, and keep it. Raises ListingError and OSError."""
    units = spec.units
    deadline = time.monotonic() + LIST_LIMIT_S
    listed: Dict[str, List[str]] = {}
    if isinstance(units, LibtestUnits):
        for binary in units.binaries:
            if globs.matches_any(binary.id, units.exclude):
                continue
            folder = os.path.join(paths.tree, binary.package_dir)
            environment = _environment(spec, binary_environment(base, binary.path, folder))
            tests: List[List[str]] = []
            try:
                for only_ignored in (False, True):
                    words = [paths.binary(binary.path), *list_arguments(units.ignored, only_ignored=only_ignored)]
                    tests.append(read_list(_output(words, folder, environment, deadline)))
            except (ValueError, ListingError) as error:
                problem = f"{binary.id} does not list its tests: {error}"
                raise ListingError(problem, _FIX.format(id=binary.id)) from None
            left_out = set(tests[1]) if units.ignored == "skip" else set()
            listed[binary.id] = [test for test in tests[0] if test not in left_out]
    elif isinstance(units, CommandUnits) and units.lines_of:
        folder = os.path.join(paths.tree, spec.package_dir)
        lines = _output(units.lines_of, folder, _environment(spec, base), deadline).splitlines()
        listed[LINES] = [line for line in lines if line.strip()]
        too_long = [line for line in listed[LINES] if len(line) > MAX_UNIT_CHARS]
        if too_long:
            raise ListingError(f"a unit's name is too long: {too_long[0][:100]!r}…", "check `units.lines_of`")
    if listed:
        write_file(paths.listed, json.dumps(listed).encode("ascii"))
    return listed


def read_listing(paths: RunPaths) -> Listed:
    """Return what was kept at the launch, nothing where no program was asked. Raises OSError and ValueError."""
    try:
        with open(paths.listed, "rb") as file:
            raw = json.loads(file.read())
    except FileNotFoundError:
        return {}
    return {str(key): [str(name) for name in names] for key, names in raw.items()}


def _environment(spec: Spec, base: Mapping[str, str]) -> Dict[str, str]:
    """The suite's own environment as far as it is the same for all attempts: an executable may not start without it."""
    environment = dict(base)
    for name, text in spec.env.items():
        try:
            environment[name] = expand_template(text, {})
        except TemplateError:
            continue  # it is about an attempt, and this is none
    return environment


def _output(words: Sequence[str], folder: str, environment: Mapping[str, str], deadline: float) -> str:
    """Return what a command prints. Raises ListingError, also for what is no text."""
    fix = "run it by hand in the repo on that host"
    shown = " ".join(map(shlex.quote, words))
    try:
        process = subprocess.Popen(
            words,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise ListingError(f"cannot run `{shown}`: {error.strerror}", fix) from None
    with process:
        try:
            output, errors = process.communicate(timeout=max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise ListingError(f"`{shown}` did not end in time: all lists have {LIST_LIMIT_S:g} s", fix) from None
    if process.returncode != 0:
        said = errors.decode("utf-8", "replace").strip()[-500:]
        raise ListingError(f"`{shown}` ended with {process.returncode}: {said}", fix)
    try:
        return output.decode("utf-8")
    except UnicodeDecodeError:
        raise ListingError(f"what `{shown}` prints is not UTF-8", fix) from None
