"""The scripts that start and stop a runner on a host, and the errors their answers mean.

On one host a run starts in one round trip. On several it has two: all are prepared, and those that are ready are told
of each other and launched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sltfleet.core.errors import ActiveRunError, FleetError, HostError, RunError
from sltfleet.core.paths import HostPaths
from sltfleet.core.shell import ROOT_PRELUDE, Script
from sltfleet.wire.codec import DecodeError
from sltfleet.wire.handshake import Answer, Launched, Prepared, Refused, Stopped, answer_from_output

#: The runner's oldest python3. A pyenv or conda shim costs its start-up at every call, so the system's own comes first.
FIND_PYTHON = """\
python=
for candidate in /usr/bin/python3 /usr/local/bin/python3 "$(command -v python3)" $newer; do
  [ -x "$candidate" ] && "$candidate" -c "import sys; sys.exit(sys.version_info < (3, ${oldest:-8}))" &&
    python=$candidate && break
done 2>/dev/null
[ -n "$python" ] || { echo "python3 3.${oldest:-8} or newer is missing" >&2; exit 69; }
"""

#: Before FIND_PYTHON: the client of a shared queue needs a newer one, which many systems have beside their own.
NEEDS_QUEUE = """\
oldest=10
newer=$(for minor in 14 13 12 11 10; do command -v "python3.$minor"; done)
"""

#: What to type next where a host's answer cannot be understood.
CHECK_THE_HOST = "`sltfleet doctor` checks the host"

#: The archive's name is made from its content, but a full disk or a stranger may have changed it: checked at each
#: start.
PUT_ARCHIVE = """\
archive=$root/bin/$2
mkdir -p "$root/bin" || exit 73
if [ ! -f "$archive" ] || [ "$(sha256sum <"$archive")" != "$3  -" ]; then
  put_archive "$archive.$$" && mv -f "$archive.$$" "$archive" || { rm -f "$archive.$$"; exit 73; }
  [ "$(sha256sum <"$archive")" = "$3  -" ] || { echo "$archive does not have the content that was sent" >&2; exit 73; }
fi
"""

_MAKE_FOLDER = """\
dir=$root/runs/${1:?}
mkdir -p "$root/runs" && mkdir "$dir" || exit 73
put_spec "$dir/spec.json" || { rm -f "$dir/spec.json"; rmdir "$dir"; exit 73; }
"""

#: Between the two phases nobody but a person changes anything; the archive is still checked before it is run.
_FIND_FOLDER = """\
dir=$root/runs/${1:?}
archive=$root/bin/$2
[ -f "$dir/prepared.json" ] || { echo "$dir was prepared, and is gone" >&2; exit 73; }
[ "$(sha256sum <"$archive")" = "$3  -" ] || { echo "$archive is not what it was" >&2; exit 73; }
"""

_PUT_SHARE = 'put_share "$dir/share.json" || exit 73\n'

#: What was refused leaves no folder behind, so that the same id may be launched again (`--replace`) and no trace of a
#: run stays that never was. One in which a runner was started is kept: its log explains what went wrong.
_CALL = """\
"$python" -E -S "$archive" WORD "$dir"
code=$?
if [ "$code" -ne 0 ] && [ ! -e "$dir/runner.log" ]; then rm -rf "$dir"; fi 2>/dev/null
exit "$code"
"""
_PREPARE = ROOT_PRELUDE + FIND_PYTHON + PUT_ARCHIVE + _MAKE_FOLDER + _CALL.replace("WORD", "prepare")
_CALL_LAUNCH = _CALL.replace("WORD", "launch")
_BEFORE_LAUNCH = ROOT_PRELUDE + FIND_PYTHON + PUT_ARCHIVE + _MAKE_FOLDER
_BEFORE_PREPARED_LAUNCH = ROOT_PRELUDE + FIND_PYTHON + _FIND_FOLDER

_STOP = (
    ROOT_PRELUDE
    + """\
[ -n "$1" ] || { read -r current <"$root/current" || exit 0; shift; set -- "$current" "$@"; } 2>/dev/null
dir=$root/runs/$1
[ -n "$1" ] && [ -d "$dir" ] || exit 0
"""
    + FIND_PYTHON
    + PUT_ARCHIVE
    + """\
"$python" -E -S "$archive" stop "$dir" --timeout "$4"
"""
)

#: What to do about a python3 that is too old for a run with a queue.
PYTHON_FIX = (
    "install python3 3.10 or newer there (a python3.12 beside the system's own will do), "
    "or run without the queue: `SLTFLEET_QUEUE= sltfleet run`"
)

#: sysexits(3): EX_UNAVAILABLE and EX_CANTCREAT, as the scripts above use them.
_NO_PYTHON = 69
_CANNOT_WRITE = 73


def prepare_script(paths: HostPaths, run_id: str, archive: tuple[str, str, bytes], spec: bytes) -> Script:
    """Return the script that prepares a run; `archive` is the zipapp's (name, SHA-256, content), `spec` JSON text."""
    name, digest, data = archive
    return Script(_PREPARE, (paths.project_dir, run_id, name, digest), (("archive", data), ("spec", spec)))


def launch_script(
    paths: HostPaths, run_id: str, archive: tuple[str, str, bytes], spec: bytes, share: bytes | None = None
) -> Script:
    """Return the script that prepares and starts a run; `share` is JSON text, None where the run has one host."""
    name, digest, data = archive
    body, shared = _launch_body(_BEFORE_LAUNCH, share)
    return Script(body, (paths.project_dir, run_id, name, digest), (("archive", data), ("spec", spec), *shared))


def launch_prepared_script(
    paths: HostPaths, run_id: str, archive: tuple[str, str, bytes], share: bytes | None
) -> Script:
    """Return the script that starts a run which the same archive has prepared."""
    name, digest, _ = archive
    body, shared = _launch_body(_BEFORE_PREPARED_LAUNCH, share)
    return Script(body, (paths.project_dir, run_id, name, digest), shared)


def _launch_body(before: str, share: bytes | None) -> tuple[str, tuple[tuple[str, bytes], ...]]:
    if share is None:
        return before + _CALL_LAUNCH, ()
    return before + _PUT_SHARE + _CALL_LAUNCH, (("share", share),)


def for_queue(script: Script) -> Script:
    """Return a script of this module with the python3 that a run with a queue needs."""
    return replace(script, body=NEEDS_QUEUE + script.body)


def stop_script(paths: HostPaths, run_id: str | None, archive: tuple[str, str, bytes], timeout_s: float) -> Script:
    """Return the script that stops a run (None: the newest one), waiting up to `timeout_s` for its attempts to end."""
    name, digest, data = archive
    args = (paths.project_dir, run_id or "", name, digest, str(timeout_s))
    return Script(_STOP, args, (("archive", data),))


def read_prepare(exit_code: int, stdout: str, stderr: str) -> Prepared:
    """Return the runner's answer to a prepare. Raises RunError, ActiveRunError and HostError for what went wrong."""
    answer = read_answer(exit_code, stdout, stderr, "prepare the run")
    if isinstance(answer, Prepared):
        return answer
    raise _refusal(answer) or _strange(stdout, stderr, "prepare the run")


def read_launch(exit_code: int, stdout: str, stderr: str) -> Launched:
    """Return the runner's answer to a launch. Raises RunError, ActiveRunError and HostError for what went wrong."""
    answer = read_answer(exit_code, stdout, stderr, "start the runner")
    if isinstance(answer, Launched):
        return answer
    raise _refusal(answer) or _strange(stdout, stderr, "start the runner")


def _refusal(answer: Answer) -> FleetError | None:
    """Return the error of a run that was not started, None for any other answer."""
    if not isinstance(answer, Refused):
        return None
    if answer.problem != "active":
        return RunError("the run was not started", answer.message, answer.fix)
    return ActiveRunError(
        "a run is active on this host",
        answer.run_id or answer.message,
        "`sltfleet status` shows it; `sltfleet run --replace` ends it and starts this one",
    )


def read_stop(exit_code: int, stdout: str, stderr: str) -> Stopped | None:
    """Return the runner's answer to a stop, None where there is no run. Raises RunError and HostError."""
    if exit_code == 0 and not stdout.strip():
        return None
    answer = read_answer(exit_code, stdout, stderr, "stop the run")
    if isinstance(answer, Stopped):
        return answer
    if isinstance(answer, Refused):
        raise RunError("the run was not stopped", answer.message, answer.fix)
    raise _strange(stdout, stderr, "stop the run")


def escape_template(values: Mapping[str, str]) -> dict[str, str]:
    """Return literal values as templates (`sltfleet.wire.template`): braces are doubled."""
    return {name: value.replace("{", "{{").replace("}", "}}") for name, value in values.items()}


def read_answer(exit_code: int, stdout: str, stderr: str, doing: str) -> Answer:
    """Return what the runner answered. Raises RunError and HostError where it could not be asked or gave no answer."""
    try:
        answer = answer_from_output(stdout)
    except DecodeError as error:
        raise RunError(f"cannot {doing}", f"its answer is damaged: {error}", CHECK_THE_HOST) from error
    if answer is not None:
        return answer
    raise no_answer(exit_code, stdout, stderr, doing)


def no_answer(exit_code: int, stdout: str, stderr: str, doing: str) -> FleetError:
    """Return the error of a script that was to put the runner's archive in place and use it, and gave no answer."""
    if exit_code == _NO_PYTHON and "3.10 or newer" in stderr:
        return HostError(
            "python3 is missing or too old for the queue",
            "a run with a queue needs python3 3.10 or newer on the host",
            PYTHON_FIX,
        )
    if exit_code == _NO_PYTHON:
        return HostError(
            "python3 is missing",
            "the runner needs python3 3.8 or newer on the host",
            "`sltfleet setup` installs it (Debian: apt-get install python3)",
        )
    if exit_code == _CANNOT_WRITE:
        return RunError(
            "cannot write the run's folder",
            stderr.strip() or "the project's folder on the host is not writable, or the disk is full",
            "`sltfleet doctor` shows disk and permissions; `sltfleet clean` frees what old runs take",
        )
    return _strange(stdout, stderr, doing)


def _strange(stdout: str, stderr: str, doing: str) -> FleetError:
    shown = (stderr.strip() or stdout.strip() or "it said nothing")[-2000:]
    return RunError(f"cannot {doing}", "it gave no answer", CHECK_THE_HOST, detail=shown)
