"""The command `repro`: runs one attempt of a run again, as the runner ran it, and shows what it prints as it comes.

The executable, the tree and the worker's folder are those of the run, which must still be there; arguments,
environment and process come from `spawn`, the verdict from `collect` and `verdicts`, so that nothing is a second way of
doing it. The attempt prints into a file, as in the run: a test that looks whether it has a terminal sees the same.
A test that shared its process with others (`units.batch`) has one of its own here.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import sys
import time
from typing import IO, Dict, Optional, Tuple, Union

from sltfleet.runner.collect import Collector
from sltfleet.runner.files import make_folder, remove_file, tail
from sltfleet.runner.listing import read_listing
from sltfleet.runner.locks import is_locked, try_lock
from sltfleet.runner.messages import Attempt
from sltfleet.runner.outputs import GrowingOutput
from sltfleet.runner.paths import ProjectPaths, RunPaths
from sltfleet.runner.processes import signal_attempt
from sltfleet.runner.spawn import PER_WORKER, Spawner, own_environment, template_values
from sltfleet.runner.specfile import SpecError, read_spec
from sltfleet.runner.stop import end_attempts
from sltfleet.runner.units import Unit, resolve_units
from sltfleet.runner.verdicts import Cause, CutShort, TimedOut, conclude
from sltfleet.runner.views import make_view
from sltfleet.wire.repro import Described, NotReproduced, ReproAnswer, Reproduced, ReproRequest, repro_line
from sltfleet.wire.spec import Spec
from sltfleet.wire.template import TemplateError

#: How often the output is looked at: an eye sees no difference, and the attempt is not disturbed.
POLL_S = 0.05

#: So much is shown in one look: a test that prints without end must not keep the clock from being read.
MOST_AT_ONCE_BYTES = 4 * 1024 * 1024
_BLOCK_BYTES = 64 * 1024

#: Why an attempt is ended whose controller went away.
GONE = CutShort("stopped")

#: The exit code where nothing was run.
EXIT_REFUSED = 3


class _Stage:
    """Everything that the repetitions have in common."""

    def __init__(self, request: ReproRequest, spec: Spec, paths: RunPaths, unit: Unit) -> None:
        self.spec = spec
        self.unit = unit
        self.base = own_environment(os.environ)
        self.spawner = Spawner(spec, paths, self.base)
        self.output = os.path.join(paths.slots, "repro.out")
        self.run_dir = paths.root
        self.attempt = Attempt(
            request.attempt,
            request.unit,
            request.worker,
            request.pass_number,
            request.seed,
            request.timeout_s or spec.limits.timeout_s,
        )
        # Tests that shared a process had more, all together.
        self.limit_s = min(self.attempt.timeout_s, spec.limits.timeout_s)
        self.values = template_values(spec, unit, self.attempt, request.remaining_s, self.spawner.binary(unit))
        self.watched: Optional[int] = None

    def controller_left(self) -> bool:
        """Whether the watched stream has ended, on which nothing is ever sent."""
        return self.watched is not None and bool(select.select([self.watched], [], [], 0)[0])


def repro(run_dir: str, request: ReproRequest, watched: Optional[int] = None) -> int:
    """Run an attempt of the run in that folder again. Returns the exit code: 0 where it ran, 3 where it could not.

    `watched`: a descriptor on which a stream ends when the controller goes away; the attempt is ended then.
    """
    paths = RunPaths(run_dir)
    prepared = _prepare(paths, request)
    if isinstance(prepared, NotReproduced):
        return _say(request, prepared)
    if request.describe:
        return _say(request, _describe(prepared))
    make_folder(paths.slots)
    lock = try_lock(paths.repro_lock)
    if lock is None:
        message = "an attempt of this run is being run again already, or the run is being resumed"
        return _say(request, NotReproduced(message, "wait for its end"))
    active = _active(prepared.spec)  # asked again: it may have been resumed before the lock was taken
    if active is not None:
        os.close(lock)
        return _say(request, active)
    if watched is not None:
        os.set_inheritable(watched, False)
        prepared.watched = watched
    try:
        for number in range(1, request.times + 1):
            code = _say(request, _once(prepared, number))
            if code or prepared.controller_left():
                return code or EXIT_REFUSED
        return 0
    finally:
        end_attempts(paths.root)
        remove_file(prepared.output)
        os.close(lock)


def _prepare(paths: RunPaths, request: ReproRequest) -> Union[_Stage, NotReproduced]:
    """Check that everything is there, and make the worker's folder where this host had fewer workers."""
    if not os.path.exists(paths.spec):
        return NotReproduced(f"there is no run in {paths.root}", "it was cleaned up, or ran elsewhere", gone=True)
    try:
        spec = read_spec(paths.spec)
        binaries = [paths.binary(built) for built, _digest in spec.executables]
        if not os.path.isdir(paths.tree) or not all(map(os.path.exists, binaries)):
            return NotReproduced(f"{paths.root} has no tree or no executable any more", "run the unit anew", gone=True)
        if spec.build_digest != request.build_digest:
            return NotReproduced("this host ran another build", "leave out --local, or choose another --host")
        active = _active(spec)
        if active is not None:
            return active
        units = resolve_units(spec.units, spec.select, paths.tree, read_listing(paths)).units
        unit = next((unit for unit in units if unit.id == request.unit), None)
        if unit is None:
            return NotReproduced(f"the run has no unit {request.unit!r} here")
        if spec.workdir == PER_WORKER and not os.path.isdir(paths.view(request.worker)):
            make_view(paths.tree, paths.view(request.worker), *spec.package_dirs)
        return _Stage(request, spec, paths, unit)
    except SpecError as error:
        return NotReproduced(str(error), "both sides need the same sltfleet")
    except OSError as error:
        return NotReproduced(f"{error.filename}: {error.strerror}", "look at the run's folder on the host")
    except ValueError as error:
        return NotReproduced(f"the run's units cannot be read: {error}", "look at the run's folder on the host")


def _active(spec: Spec) -> Optional[NotReproduced]:
    """A refusal where the run has a runner. Raises OSError."""
    project = ProjectPaths(spec.project_root)
    if not is_locked(project.lock) or tail(project.current, 4096).strip() != spec.run_id:
        return None
    message = f"run {spec.run_id} is still active here, and its workers use these folders"
    return NotReproduced(message, "wait for its end, or stop it with: sltfleet stop")


def _describe(stage: _Stage) -> ReproAnswer:
    """What a shell must be told. The marks are left out: they are for processes that a runner answers for."""
    try:
        folder, argv, environment = stage.spawner.command(stage.attempt, [stage.unit], stage.values)
    except TemplateError as error:
        return NotReproduced(str(error))
    own: Dict[str, str] = {
        name: value
        for name, value in environment.items()
        if stage.base.get(name) != value and not name.startswith("SLTFLEET_")
    }
    return Described(folder, tuple(argv), own)


def _once(stage: _Stage, number: int) -> ReproAnswer:
    remove_file(stage.output)
    limits = stage.spec.limits
    unit = stage.unit
    tests = [unit.values["test"]] if unit.binary else []
    try:
        folder = stage.spawner.folder(stage.attempt.worker, unit)
        collector = Collector(stage.spec.verdict, folder, stage.values, tests, unit.prefix)
        started = time.monotonic()
        pid = stage.spawner.spawn(stage.attempt, [unit], stage.values, stage.output, ahead=False)
    except (OSError, TemplateError, ValueError) as error:
        return NotReproduced(f"cannot start the attempt: {error}", "look at the run's folder on the host")
    try:
        status, cause = _follow(stage, pid, started + stage.limit_s)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
    duration_s = time.monotonic() - started
    end_attempts(stage.run_dir)
    code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
    ended_by = os.WTERMSIG(status) if code is None else None
    said = collector.collect(code, GrowingOutput(stage.output, limits.output_bytes))
    verdict = conclude(said, stage.attempt.unit, code, ended_by, cause)
    return Reproduced(number, verdict.outcome, duration_s, code, ended_by, verdict.message)


def _follow(stage: _Stage, pid: int, deadline: float) -> Tuple[int, Optional[Cause]]:
    """Show the output until the process has ended, and end it where it takes too long or nobody looks any more."""
    limits = stage.spec.limits
    cause: Optional[Cause] = None
    kill_at = math.inf
    with open(stage.output, "rb") as output:
        shown = _Shown(output)
        while True:
            found, status, _usage = os.wait4(pid, os.WNOHANG)
            shown.go_on(math.inf if found else MOST_AT_ONCE_BYTES)
            if found:
                shown.end_line()
                return status, cause
            now = time.monotonic()
            if cause is None and (now >= deadline or stage.controller_left()):
                cause = TimedOut(stage.limit_s) if now >= deadline else GONE
                kill_at = now + limits.kill_after_s
                signal_attempt(pid, signal.SIGTERM)
            elif now >= kill_at:
                kill_at = math.inf
                signal_attempt(pid, signal.SIGKILL)
            time.sleep(POLL_S)


class _Shown:
    """Copies a growing file to standard output."""

    def __init__(self, output: IO[bytes]) -> None:
        self._output = output
        self._last = b"\n"
        self._shown_bytes = 0

    def go_on(self, most_bytes: float) -> None:
        """Show what has come until now, at most so much of it."""
        end = min(os.fstat(self._output.fileno()).st_size, self._shown_bytes + most_bytes)
        while self._shown_bytes < end:
            data = self._output.read(min(_BLOCK_BYTES, int(end) - self._shown_bytes))
            if not data:
                return
            self._shown_bytes += len(data)
            self._last = data[-1:]
            _write(data)

    def end_line(self) -> None:
        """End a line that the attempt left open: an answer stands on a line of its own."""
        if self._last != b"\n":
            _write(b"\n")


def _say(request: ReproRequest, answer: ReproAnswer) -> int:
    _write(repro_line(request.mark, answer).encode("ascii"))
    return EXIT_REFUSED if isinstance(answer, NotReproduced) else 0


def _write(data: bytes) -> None:
    # That nobody reads any more is noticed by the watched stream, which ends the attempt in good order.
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
