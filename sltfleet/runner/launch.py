"""The command `launch`: starts a run's runner, and answers once it runs. What was not prepared is prepared first.

The runner gets a session of its own, /dev/null as input, the log as output and no other descriptor, and ignores SIGHUP
(what nohup does): neither the end of the connection nor the death of this process reaches it. Where a logout would,
`session` says how to escape.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from typing import List, Mapping, Union

from sltfleet.runner import session
from sltfleet.runner.files import FILE_MODE, tail
from sltfleet.runner.paths import ProjectPaths, RunPaths
from sltfleet.runner.prepare import make_ready, read_prepared, while_free
from sltfleet.runner.processes import is_alive
from sltfleet.runner.specfile import SpecError, read_share
from sltfleet.runner.statefile import read_state, said_goodbye
from sltfleet.runner.stop import end_attempts
from sltfleet.wire.handshake import Launched, Refused
from sltfleet.wire.spec import Spec

#: So long a runner may take until it says that it runs.
START_LIMIT_S = 30.0

_POLL_S = 0.02


def launch(run_dir: str, archive: str) -> Union[Launched, Refused]:
    """Start the run whose folder is `run_dir`, with the runner's zipapp `archive`."""
    return while_free(run_dir, lambda spec, paths: _launch(spec, paths, archive))


def _launch(spec: Spec, paths: RunPaths, archive: str) -> Union[Launched, Refused]:
    if os.path.exists(paths.journal):
        return Refused("tree", f"{paths.root} has been launched before", "start a new run")
    try:
        read_share(paths.share, spec)
    except SpecError as error:
        return Refused("spec", str(error), "check that both sides have the same sltfleet")
    prepared = read_prepared(paths) or make_ready(spec, paths)
    if isinstance(prepared, Refused):
        return prepared
    lost_run_id = _lost_before(paths, ProjectPaths(spec.project_root))
    answer = start_runner(paths, archive, "run")
    return dataclasses.replace(answer, lost_run_id=lost_run_id) if isinstance(answer, Launched) else answer


def _lost_before(paths: RunPaths, project: ProjectPaths) -> str:
    """Return the project's latest run where its runner was lost, else ""; `paths` are those of the next one.

    Nobody may have noticed: the new runner ends what the lost one left.
    """
    run_id = tail(project.current, 4096).strip()
    before = RunPaths(os.path.join(os.path.dirname(paths.root), run_id))
    return run_id if run_id and os.path.isfile(before.journal) and not said_goodbye(before) else ""


def start_runner(
    paths: RunPaths, archive: str, command: str, limit_s: float = START_LIMIT_S
) -> Union[Launched, Refused]:
    """Start a runner on the run's folder by its `command`, and wait up to `limit_s` until it runs."""
    argv = [sys.executable, "-S", "-E", archive, command, paths.root]
    login = session.look(os.environ)
    scope = session.scope_words(login)
    if scope:
        environment = {**os.environ, session.RUNTIME_DIR: login.runtime_dir}
        answer = _start(paths, [*scope, *argv], environment, limit_s)
        if isinstance(answer, Launched):
            return answer
    return _start(paths, argv, os.environ, limit_s)


def _start(
    paths: RunPaths, argv: List[str], environment: Mapping[str, str], limit_s: float
) -> Union[Launched, Refused]:
    log = os.open(paths.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # inherited, as from nohup
    said_before = os.fstat(log).st_size
    try:
        process = subprocess.Popen(
            argv,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=paths.root,
        )
    except OSError as error:
        return Refused("start", f"cannot start {argv[0]}: {error.strerror}", "install python3 3.8 or newer")
    finally:
        os.close(log)
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        exit_code = process.poll()
        state = read_state(paths)
        if state is not None and state.identity.pid != process.pid:
            state = None  # what an earlier runner said
        if state is not None and state.reason != "error" and (exit_code == 0 or is_alive(state.identity)):
            return Launched(
                identity=state.identity,
                run_id=state.run_id,
                workers=state.workers,
                units=state.units_total,
                share_units=state.share_total,
                python=".".join(str(part) for part in sys.version_info[:3]),
                elapsed_s=state.elapsed_s,
            )
        if exit_code is not None:
            said = tail(paths.log, min(2000, os.path.getsize(paths.log) - said_before)).strip()
            return Refused("start", f"the runner ended with exit code {exit_code}: {said}", f"see {paths.log}")
        time.sleep(_POLL_S)
    process.kill()
    process.wait()
    end_attempts(paths.root)
    return Refused("start", f"the runner did not start within {limit_s:g} s", f"see {paths.log}")
