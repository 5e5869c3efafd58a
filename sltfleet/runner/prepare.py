"""The command `prepare`: makes everything that a run needs in its folder, and starts nothing.

Of several hosts all are prepared first: only then is known which of them will run, and so what each one's share is.
`launch` prepares a folder itself that was not prepared. What a refusal leaves behind is removed by whoever asked.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from typing import Callable, Iterable, Optional, TypeVar, Union

from sltfleet.runner.files import make_folder, tail, write_file
from sltfleet.runner.listing import ListingError, make_listing
from sltfleet.runner.locks import is_locked, try_lock
from sltfleet.runner.paths import ProjectPaths, RunPaths
from sltfleet.runner.room import no_room
from sltfleet.runner.spawn import own_environment
from sltfleet.runner.specfile import SpecError, read_spec
from sltfleet.runner.tree import WrongBinaryError, copy_binary, snapshot
from sltfleet.runner.units import resolve_units
from sltfleet.runner.views import make_targets, make_view
from sltfleet.wire.codec import DecodeError, decode, to_text
from sltfleet.wire.globs import GlobError
from sltfleet.wire.handshake import Prepared, Refused
from sltfleet.wire.spec import Spec

T = TypeVar("T")


def prepare(run_dir: str) -> Union[Prepared, Refused]:
    """Prepare the run whose folder is `run_dir`."""
    return while_free(run_dir, make_ready)


def while_free(run_dir: str, work: Callable[[Spec, RunPaths], Union[T, Refused]]) -> Union[T, Refused]:
    """Do `work` for the run in `run_dir` while no other run is active in the project, and none is launched."""
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
        return no_room(project.root) or work(spec, paths)
    finally:
        os.close(launch_lock)


def make_ready(spec: Spec, paths: RunPaths) -> Union[Prepared, Refused]:
    """Make everything that the run needs in its folder."""
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
        environment = own_environment(os.environ)
        resolved = resolve_units(spec.units, spec.select, paths.tree, make_listing(spec, paths, environment))
        if not resolved.units:
            shutil.rmtree(paths.tree, ignore_errors=True)
            return Refused("no-units", "no unit matches" + _of_what(spec), "check units and --unit, and sync first")
        if spec.workdir == "per-worker":
            for worker in range(spec.workers):
                make_view(paths.tree, paths.view(worker), *spec.package_dirs)
        else:
            make_targets(paths.tree, *spec.package_dirs)
        units = [unit.id for unit in resolved.units]
        prepared = Prepared(spec.run_id, spec.workers, len(units), units_digest(units))
        write_file(paths.prepared, to_text(prepared).encode("ascii"))
    except ListingError as error:
        return Refused("no-units", str(error), error.fix)
    except GlobError as error:
        return Refused("spec", str(error), "check the globs in fleet.yaml")
    except WrongBinaryError as error:
        return Refused("tree", str(error), "build again: the executable has changed since")
    except (OSError, shutil.Error) as error:
        return Refused("tree", str(error), "check space and permissions of the project's folder on the host")
    return prepared


def read_prepared(paths: RunPaths) -> Optional[Prepared]:
    """Return what `prepare` answered in this folder, None where it has not come to its end there."""
    try:
        with open(paths.prepared, "rb") as file:
            return decode(Prepared, json.loads(file.read()))
    except (OSError, ValueError, DecodeError):
        return None


def units_digest(units: Iterable[str]) -> str:
    """Return what tells whether two hosts have the same units, whatever their order."""
    return hashlib.sha256(json.dumps(sorted(units)).encode("ascii")).hexdigest()


def _active(project: ProjectPaths) -> Refused:
    run_id = tail(project.current, 4096).strip()
    message = f"run {run_id or '(unknown)'} is active in {project.root}"
    return Refused("active", message, "wait for its end, or stop it with: sltfleet stop", run_id)


def _of_what(spec: Spec) -> str:
    return f" {', '.join(spec.select)}" if spec.select else f" in {spec.repo}"
