"""repro: the script that has a host run an attempt again, and what its answers mean."""

from __future__ import annotations

from sltfleet.core.errors import FleetError, HostError, RunError
from sltfleet.core.launching import FIND_PYTHON, PUT_ARCHIVE, no_answer
from sltfleet.core.paths import HostPaths
from sltfleet.core.secret import HIDDEN, is_secret
from sltfleet.core.shell import ROOT_PRELUDE, Script, command_line, join
from sltfleet.wire.codec import DecodeError
from sltfleet.wire.repro import Described, NotReproduced, ReproAnswer, ReproRequest, answer_of_line, request_to_text

#: sysexits(3), EX_NOINPUT: the run's folder is not there.
_GONE = 66

#: A session of its own: where this script is killed the runner lives on, sees descriptor 3 end, and ends the attempt.
_REPRO = (
    ROOT_PRELUDE
    + f"""\
[ -d "$root/runs/$1" ] || exit {_GONE}
"""
    + FIND_PYTHON
    + PUT_ARCHIVE
    + """\
setsid "$python" -E -S "$archive" repro "$root/runs/$1" "$4" --watch 3
"""
)


def repro_script(paths: HostPaths, run_id: str, archive: tuple[str, str, bytes], request: ReproRequest) -> Script:
    """Return the script that runs an attempt of a run again; `archive` is the zipapp's (name, SHA-256, content)."""
    name, digest, data = archive
    args = (paths.project_dir, run_id, name, digest, request_to_text(request))
    return Script(_REPRO, args, (("archive", data),), watched=True)


def read_repro(mark: str, line: str) -> ReproAnswer | None:
    """Return the runner's answer in a line of the script's output, None for a line of the attempt's own."""
    try:
        return answer_of_line(mark, line)
    except DecodeError as error:
        raise HostError("the host's answer makes no sense", str(error), "see `sltfleet doctor`") from error


def not_reproduced(run_id: str, answer: NotReproduced) -> FleetError:
    """Return the error for an attempt that the runner did not run."""
    fix = answer.fix or "`sltfleet report` lists the units"
    if answer.gone:
        fix = f"{fix}; `sltfleet run --unit GLOB` runs a unit anew"
    return RunError(f"nothing of run {run_id} was run again", answer.message, fix)


def repro_failure(run_id: str, exit_code: int, stdout: str, stderr: str) -> FleetError:
    """Return the error for a script that ended without an answer."""
    if exit_code == _GONE:
        gone = NotReproduced("its folder on the host is gone", "it was cleaned up, or never ran there", gone=True)
        return not_reproduced(run_id, gone)
    return no_answer(exit_code, stdout, stderr, "run the attempt again")


def shell_line(described: Described, ssh: tuple[str, ...] = ()) -> str:
    """Return the line that runs the attempt by hand; `ssh` are the words that reach the host, none for this machine.

    Secrets are left for the person to fill in: such a line is copied into issues.
    """
    env = {name: HIDDEN if is_secret(name) else value for name, value in described.env.items()}
    line = command_line(described.folder, env, described.argv)
    return join([*ssh, line]) if ssh else line
