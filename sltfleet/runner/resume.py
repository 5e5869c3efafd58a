"""The command `resume`: has a new runner go on with a run whose runner is gone, and answers once it runs.

Nothing is made anew: the folder, the tree, the executables and the workers' folders are those of the run. Whether there
is something to go on with is told by the state file here, and by the journal, which the new runner reads.
"""

from __future__ import annotations

import os
from typing import Optional, Union

from sltfleet.runner.launch import start_runner
from sltfleet.runner.locks import try_lock
from sltfleet.runner.paths import RunPaths
from sltfleet.runner.prepare import while_free
from sltfleet.runner.statefile import read_state
from sltfleet.runner.stop import end_attempts
from sltfleet.runner.tree import sha256_of
from sltfleet.wire.handshake import Launched, Refused
from sltfleet.wire.spec import Spec
from sltfleet.wire.state import FINISHED, RESUMABLE_REASONS

#: The new runner reads the whole journal first: 24,000 events a second, and a million of them is a long run.
READ_LIMIT_S = 150.0


def resume(run_dir: str, archive: str) -> Union[Launched, Refused]:
    """Go on with the run whose folder is `run_dir`, with the runner's zipapp `archive`."""
    return while_free(run_dir, lambda spec, paths: _resume(spec, paths, archive))


def _resume(spec: Spec, paths: RunPaths, archive: str) -> Union[Launched, Refused]:
    refused = _ended(paths) or _changed(spec, paths)
    if refused is not None:
        return refused
    lock = try_lock(paths.repro_lock)  # held until the runner runs: `repro` looks for that once it has the lock
    if lock is None:
        return Refused("active", "an attempt of the run is being run again", "wait for its end")
    try:
        survivors = end_attempts(paths.root)
        if survivors:
            pids = ", ".join(map(str, survivors))
            fix = "look at them with `ps -o pid,stat,wchan`"
            return Refused("start", f"processes of the run do not die: {pids}", fix)
        return start_runner(paths, archive, go_on=True, limit_s=READ_LIMIT_S)
    finally:
        os.close(lock)


def _ended(paths: RunPaths) -> Optional[Refused]:
    """A refusal where the run came to its own end. A state file that cannot be read does not say so."""
    state = read_state(paths)
    if state is None or state.phase != FINISHED or state.reason in RESUMABLE_REASONS:
        return None
    return Refused("finished", f"run {state.run_id} has come to its end ({state.reason})", "start a new run")


def _changed(spec: Spec, paths: RunPaths) -> Optional[Refused]:
    """A refusal where the tree or an executable is not what it was: the results would not belong together."""
    if not os.path.isdir(paths.tree):
        return Refused("tree", f"{paths.tree} is gone", "start a new run")
    for built, digest in spec.executables:
        copy = paths.binary(built)
        try:
            if sha256_of(copy) != digest.lower():
                return Refused("tree", f"{copy} has changed since the run was started", "start a new run")
        except OSError as error:
            return Refused("tree", f"{copy}: {error.strerror}", "start a new run")
    return None
