"""The command `launch`: starts a run's runner, and answers once it runs. What was not prepared is prepared first.

The runner is a fork of this process in a session of its own: neither the end of the connection nor the death of this
process reaches it. Where a logout would, `session` says how to escape.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
import time
from typing import Callable, Union

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
    answer = start_runner(paths, archive)
    return dataclasses.replace(answer, lost_run_id=lost_run_id) if isinstance(answer, Launched) else answer


def _lost_before(paths: RunPaths, project: ProjectPaths) -> str:
    """Return the project's latest run where its runner was lost, else ""; `paths` are those of the next one.

    Nobody may have noticed: the new runner ends what the lost one left.
    """
    run_id = tail(project.current, 4096).strip()
    before = RunPaths(os.path.join(os.path.dirname(paths.root), run_id))
    return run_id if run_id and os.path.isfile(before.journal) and not said_goodbye(before) else ""


def start_runner(
    paths: RunPaths, archive: str, *, go_on: bool = False, limit_s: float = START_LIMIT_S
) -> Union[Launched, Refused]:
    """Start a runner on the run's folder, and wait up to `limit_s` until it runs. `go_on`: as after `resume`."""
    login = session.look(os.environ)
    scope = session.scope_words(login)
    if scope:
        argv = [*scope, sys.executable, "-S", "-E", archive, "go-on" if go_on else "run", paths.root]
        environment = {**os.environ, session.RUNTIME_DIR: login.runtime_dir}
        answer = _start(paths, lambda: session.become(argv, environment), limit_s)
        if isinstance(answer, Launched) or (not go_on and os.path.exists(paths.journal)):
            return answer  # what has begun, and failed, is not begun a second time

    def run_here() -> int:
        # Of a zipapp every process compiles its modules anew: what is imported for the launch is not, in a fork.
        from sltfleet.runner.run import run

        return run(paths.root, go_on)

    return _start(paths, run_here, limit_s)


def _start(paths: RunPaths, work: Callable[[], int], limit_s: float) -> Union[Launched, Refused]:
    log = os.open(paths.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    said_before = os.fstat(log).st_size
    try:
        pid = session.detached(work, log, paths.root)
    except OSError as error:
        return Refused("start", f"no process can be started: {error.strerror}", "see `ulimit -u` and `free` there")
    finally:
        os.close(log)
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        state = read_state(paths)
        if state is not None and state.identity.pid != pid:
            state = None  # what an earlier runner said
        done = ended and os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0
        if state is not None and state.reason != "error" and (done or is_alive(state.identity)):
            return Launched(
                identity=state.identity,
                run_id=state.run_id,
                workers=state.workers,
                units=state.units_total,
                share_units=state.share_total,
                python=".".join(str(part) for part in sys.version_info[:3]),
                elapsed_s=state.elapsed_s,
            )
        if ended:
            said = tail(paths.log, min(2000, os.path.getsize(paths.log) - said_before)).strip()
            return Refused("start", f"the runner ended with {_how(status)}: {said}", f"see {paths.log}")
        time.sleep(_POLL_S)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    end_attempts(paths.root)
    return Refused("start", f"the runner did not start within {limit_s:g} s", f"see {paths.log}")


def _how(status: int) -> str:
    """How a process ended, by its wait status."""
    return f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit code {os.WEXITSTATUS(status)}"
