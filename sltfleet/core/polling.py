"""One poll of one host: the script that asks, the parser of its answer, and what the answer means.

A poll is one round trip and starts nothing but `sh`, `cat`, `date` and `head` on the host: no Python, so that a fleet
can be watched from many terminals without being disturbed.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from sltfleet.core.errors import FleetError
from sltfleet.core.paths import HostPaths
from sltfleet.core.runid import is_run_id
from sltfleet.core.shell import ROOT_PRELUDE, Script
from sltfleet.wire.codec import DecodeError
from sltfleet.wire.format import FormatError, FormatTooNew, FormatTooOld
from sltfleet.wire.state import FINISHED, Identity, State, identity_from_line, state_from_json

#: The words that `status` shows. running: alive and working. finished: its budget, its passes or an error ended it.
#: stopped: a person did. lost: the runner is gone and never said goodbye. stalled: alive, but it writes no state any
#: more. unreachable: the host did not answer. unreadable: another version of sltfleet ran it. idle: no run here.
RUNNING, DONE, STOPPED, LOST, STALLED, UNREACHABLE, UNREADABLE, IDLE = HOST_STATES = (
    "running",
    "finished",
    "stopped",
    "lost",
    "stalled",
    "unreachable",
    "unreadable",
    "idle",
)

#: States in which a run will not change any more without a person.
SETTLED = frozenset((DONE, STOPPED, LOST, UNREADABLE, IDLE))

#: A runner writes its state once a second; one that is alive and has not for so long is stalled.
STALLED_AFTER_S = 20.0

#: A state file of 64 workers is 10 kB; one beyond this is not ours.
MAX_STATE_BYTES = 8 * 1024 * 1024

#: What `float` and `int` read exactly. (`str.isdigit` is also true of digits such as ² that they refuse.)
_WHOLE_NUMBER = re.compile(r"[0-9]{1,18}")

#: A folder that was only prepared is no run. The runner is looked at before its state is read: one that has just said
#: goodbye is not taken for lost. Of /proc/PID/stat only what follows the command's name is sent, since a name may hold
#: anything, line ends included.
_POLL = (
    ROOT_PRELUDE
    + """\
run=$1
if [ -z "$run" ]; then read -r run <"$root/current" || :; fi 2>/dev/null
[ -n "$run" ] || exit 0
dir=$root/runs/$run
[ -d "$dir" ] || exit 0
if [ -e "$dir/spec.json" ] && [ ! -e "$dir/identity" ] && [ ! -e "$dir/runner.log" ]; then exit 0; fi
printf 'run %s\\n' "$run"
printf 'boot %s\\n' "$(cat /proc/sys/kernel/random/boot_id)"
printf 'clock %s\\n' "$(date +%s)"
if read -r boot pid ticks <"$dir/identity"; then
  printf 'identity %s %s %s\\n' "$boot" "$pid" "$ticks"
  case $pid in
    "" | *[!0-9]*) ;;
    *) stat=$(cat "/proc/$pid/stat") && printf 'stat %s\\n' "${stat##*)}" ;;
  esac
fi 2>/dev/null
printf 'state\\n'
head -c "$2" "$dir/state.json" 2>/dev/null
exit 0
"""
)


@dataclass(frozen=True)
class PollAnswer:
    """What a host said. `state` is None where there is no state file yet; `problem` says why one cannot be read."""

    run_id: str | None = None
    boot_id: str = ""
    #: The host's clock, in seconds since the epoch.
    clock_s: float = 0.0
    identity: Identity | None = None
    #: The process that has the runner's pid now: its start ticks and state letter, None where there is none.
    process: ProcessStat | None = None
    state: State | None = None
    problem: str = ""
    #: Whether that problem is that the state is in another version's format.
    foreign: bool = False

    @property
    def runner_alive(self) -> bool:
        """Whether the very process that started the run is alive: same boot, same pid, same start, and no zombie."""
        return (
            self.identity is not None
            and self.process is not None
            and self.identity.boot_id == self.boot_id
            and self.identity.start_ticks == self.process.start_ticks
            and self.process.letter not in "ZXx"
        )


@dataclass(frozen=True)
class ProcessStat:
    """Two fields of /proc/PID/stat: the state letter (3) and the start time in clock ticks since boot (22)."""

    letter: str
    start_ticks: int


def poll_script(paths: HostPaths, run_id: str | None) -> Script:
    """Return the script that asks for a run, or for the host's newest one where `run_id` is None."""
    return Script(_POLL, (paths.project_dir, run_id or "", str(MAX_STATE_BYTES)))


def parse_poll(output: str) -> PollAnswer:
    """Return what a host answered; nothing in it is believed without a check, and nothing raises."""
    head, _, body = output.partition("\nstate\n")
    fields = dict(line.split(" ", 1) for line in head.split("\n") if " " in line)
    run_id = fields.get("run", "").strip()
    if not run_id:
        return PollAnswer()
    if not is_run_id(run_id):
        return PollAnswer(problem=f"the host names a run {run_id[:80]!r}, which is no run id")
    state, problem, foreign = _read_state(body, run_id)
    clock = fields.get("clock", "")
    return PollAnswer(
        run_id=run_id,
        boot_id=fields.get("boot", "").strip(),
        clock_s=float(clock) if _WHOLE_NUMBER.fullmatch(clock) else 0.0,
        identity=identity_from_line(fields.get("identity", "")),
        process=parse_stat(fields.get("stat", "")),
        state=state,
        problem=problem,
        foreign=foreign,
    )


def parse_stat(line: str) -> ProcessStat | None:
    """Return what /proc/PID/stat says (proc(5)), whole or from behind the command's name in parentheses on."""
    fields = line.rpartition(")")[2].split()
    if len(fields) < 20 or not _WHOLE_NUMBER.fullmatch(fields[19]):
        return None
    return ProcessStat(letter=fields[0], start_ticks=int(fields[19]))


def _read_state(body: str, run_id: str) -> tuple[State | None, str, bool]:
    if not body.strip():
        return None, "", False
    try:
        state = state_from_json(json.loads(body))
    except (FormatError, DecodeError) as error:
        return None, str(error), isinstance(error, (FormatTooOld, FormatTooNew))
    except (ValueError, RecursionError):
        return None, "the runner's state file is not JSON", False
    if state.run_id != run_id:
        return None, f"the state file in run {run_id} is of another run", False
    return state, "", False


def judge(answer: PollAnswer) -> str:
    """Return the one of HOST_STATES that an answer means."""
    if answer.run_id is None:
        return IDLE
    state = answer.state
    if state is not None and state.phase == FINISHED:
        return STOPPED if state.reason == "stopped" else DONE
    if not answer.runner_alive:
        return UNREADABLE if answer.foreign else LOST
    if state is not None and answer.clock_s - state.written_wall_s > STALLED_AFTER_S:
        return STALLED
    return RUNNING


@dataclass(frozen=True)
class HostStatus:
    """What is known of one host: `condition` is one of HOST_STATES."""

    host: str
    condition: str
    run_id: str | None = None
    state: State | None = None
    #: Why it is unreachable, or why its state cannot be read, or the runner's own trouble; "" where all is well.
    problem: str = ""
    error: FleetError | None = None


def status_of(host: str, answer: PollAnswer) -> HostStatus:
    """Return the status that a host's answer means."""
    trouble = answer.state.trouble if answer.state is not None else ""
    return HostStatus(host, judge(answer), answer.run_id, answer.state, answer.problem or trouble)
