"""The script that has a host go on with a run whose runner is gone, and what its answer means."""

from __future__ import annotations

from dataclasses import dataclass

from sltfleet.core.errors import RunError
from sltfleet.core.launching import CHECK_THE_HOST, FIND_PYTHON, PUT_ARCHIVE, read_answer
from sltfleet.core.paths import HostPaths
from sltfleet.core.shell import ROOT_PRELUDE, Script
from sltfleet.wire.handshake import Launched, Refused

_RESUME = (
    ROOT_PRELUDE
    + """\
dir=$root/runs/$1
[ -d "$dir" ] || exit 0
"""
    + FIND_PYTHON
    + PUT_ARCHIVE
    + """\
"$python" -E -S "$archive" resume "$dir"
"""
)

_DOING = "resume the run"


@dataclass(frozen=True)
class NothingToResume:
    """The host has nothing to go on with, and nothing is wrong with that: `why` says what is there instead.

    `running`: the run is going on.
    """

    why: str
    running: bool = False


def resume_script(paths: HostPaths, run_id: str, archive: tuple[str, str, bytes]) -> Script:
    """Return the script that resumes a run; `archive` is the zipapp's (name, SHA-256, content)."""
    name, digest, data = archive
    return Script(_RESUME, (paths.project_dir, run_id, name, digest), (("archive", data),))


def read_resume(run_id: str, exit_code: int, stdout: str, stderr: str) -> Launched | NothingToResume:
    """Return the runner's answer. Raises RunError and HostError for a run that is lost and cannot be resumed."""
    if exit_code == 0 and not stdout.strip():
        return NothingToResume("no such run there")
    answer = read_answer(exit_code, stdout, stderr, _DOING)
    if isinstance(answer, Launched):
        return answer
    if not isinstance(answer, Refused):
        raise RunError(f"cannot {_DOING}", f"its answer is one to another question: {answer.kind}", CHECK_THE_HOST)
    if answer.problem == "finished":
        return NothingToResume(answer.message)
    if answer.problem == "active" and answer.run_id == run_id:
        return NothingToResume("it is still running", running=True)
    raise RunError("the run was not resumed", answer.message, answer.fix)
