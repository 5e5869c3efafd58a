"""The command `launch`: prepares a run's folder, starts its runner, and answers once it runs.

The runner gets a session of its own, /dev/null as input, the log as output and no other descriptor, and ignores SIGHUP
(what nohup does): neither the end of the connection nor the death of this process reaches it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import List, Optional, Union

from sltfleet.runner.files import FILE_MODE, make_folder, tail
from sltfleet.runner.listing import ListingError, make_listing
from sltfleet.runner.locks import is_locked, try_lock
from sltfleet.runner.paths import ProjectPaths, RunPaths
from sltfleet.runner.processes import is_alive
from sltfleet.runner.specfile import SpecError, read_spec
from sltfleet.runner.stop import end_attempts
from sltfleet.runner.tree import WrongBinaryError, copy_binary, snapshot
from sltfleet.runner.units import resolve_units
from sltfleet.runner.views import make_targets, make_view
from sltfleet.wire.globs import GlobError
from sltfleet.wire.handshake import Launched, Refused
from sltfleet.wire.spec import Spec
from sltfleet.wire.state import State, state_from_json

#: So long a runner may take until it says that it runs.
START_LIMIT_S = 30.0

_POLL_S = 0.02


def launch(run_dir: str, archive: str) -> Union[Launched, Refused]:
    """Start the run whose folder is `run_dir`, with the runner's zipapp `archive`."""
    paths = RunPaths(run_dir)
    try:
        spec = read_spec(paths.spec)
        project = ProjectPaths(spec.project_root)
        make_folder(project.root)
        launch_lock = try_lock(project.launch_lock)
    except SpecError as error:
        return Refused("spec", str(error), "check the suite in fleet.yaml, and that both sides have the same sltfleet")
    except OSError as error:
        return Refused(
            "tree", f"{error.filename}: {error.strerror}", "make the project's folder writable for this user"
        )
    if launch_lock is None:
        return Refused("active", f"another launch is under way in {project.root}", "wait until it has answered")
    try:
        if is_locked(project.lock):
            return _active(project)
        units = _prepare(spec, paths)
        return units if isinstance(units, Refused) else _start(spec, paths, units, archive)
    finally:
        os.close(launch_lock)


def _active(project: ProjectPaths) -> Refused:
    run_id = tail(project.current, 4096).strip()
    message = f"run {run_id or '(unknown)'} is active in {project.root}"
    return Refused("active", message, "wait for its end, or stop it with: sltfleet stop", run_id)


def _prepare(spec: Spec, paths: RunPaths) -> Union[int, Refused]:
    """Make everything that the run needs in its folder. Returns how many units it has."""
    if os.path.exists(paths.tree) or os.path.exists(paths.journal):
        return Refused("tree", f"{paths.root} has been launched before", "start a new run")
    if os.path.commonpath([spec.repo, paths.root]) == os.path.normpath(spec.repo):
        return Refused("tree", f"{paths.root} lies in the repo {spec.repo}", "put the project's folder elsewhere")
    try:
        snapshot(spec.repo, paths.tree, *spec.package_dirs)
        for folder in spec.package_dirs:
            if not os.path.isdir(os.path.join(paths.tree, folder)):
                return Refused("tree", f"the tree has no folder {folder!r}", "sync first")
        for built, digest in spec.executables:
            copy_binary(built, paths.binary(built), digest)
        resolved = resolve_units(spec.units, spec.select, paths.tree, make_listing(spec, paths, os.environ))
        if not resolved.units:
            shutil.rmtree(paths.tree, ignore_errors=True)
            return Refused("no-units", "no unit matches" + _of_what(spec), "check units and --unit, and sync first")
        if spec.workdir == "per-worker":
            for worker in range(spec.workers):
                make_view(paths.tree, paths.view(worker), *spec.package_dirs)
        else:
            make_targets(paths.tree, *spec.package_dirs)
    except ListingError as error:
        return Refused("no-units", str(error), error.fix)
    except GlobError as error:
        return Refused("spec", str(error), "check the globs in fleet.yaml")
    except WrongBinaryError as error:
        return Refused("tree", str(error), "build again: the executable has changed since")
    except (OSError, shutil.Error) as error:
        return Refused("tree", str(error), "check space and permissions of the project's folder on the host")
    return len(resolved.units)


def _of_what(spec: Spec) -> str:
    return f" {', '.join(spec.select)}" if spec.select else f" in {spec.repo}"


def _start(spec: Spec, paths: RunPaths, units: int, archive: str) -> Union[Launched, Refused]:
    log = os.open(paths.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # inherited, as from nohup
    command: List[str] = [sys.executable, "-S", "-E", archive, "run", paths.root]
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=paths.root
        )
    except OSError as error:
        return Refused("start", f"cannot start {command[0]}: {error.strerror}", "install python3 3.8 or newer")
    finally:
        os.close(log)
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        exit_code = process.poll()
        state = _state_of(paths, process.pid)
        if state is not None and state.reason != "error" and (exit_code == 0 or is_alive(state.identity)):
            return Launched(
                identity=state.identity,
                run_id=spec.run_id,
                workers=spec.workers,
                units=units,
                python=".".join(str(part) for part in sys.version_info[:3]),
            )
        if exit_code is not None:
            log_tail = tail(paths.log, 2000).strip()
            return Refused("start", f"the runner ended with exit code {exit_code}: {log_tail}", f"see {paths.log}")
        time.sleep(_POLL_S)
    process.kill()
    process.wait()
    end_attempts(paths.root)
    return Refused("start", f"the runner did not start within {START_LIMIT_S:g} s", f"see {paths.log}")


def _state_of(paths: RunPaths, pid: int) -> Optional[State]:
    try:
        with open(paths.state, "rb") as file:
            state = state_from_json(json.loads(file.read()))
    except (OSError, ValueError):
        return None
    return state if state.identity.pid == pid else None
