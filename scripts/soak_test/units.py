"""The suite of the soak test, and the independent observer: every unit logs its own start and end.

The log is the units' own, outside every host's folder; nothing of sltfleet reads or writes it. Times are the seconds
since boot that /proc/uptime shows, to a hundredth: no clock that is set changes them, and reading them starts nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

#: A unit that takes longer is ended.
TIMEOUT_S = 2.0

#: What a unit does is in its name, before the dash; what follows is how long it sleeps, in seconds.
UNITS = (
    *(f"pass-0.{tenths:02d}" for tenths in (1, 2, 3, 5, 8, 10, 15, 20, 25, 30)),
    "fail-0.02",
    "fail-0.15",
    "flaky-0.04",
    "flaky-0.10",
    "crash-0.03",
    "hang-600",
    "stubborn-600",
    "daemon-0.05",
    "loud-0.02",
)

#: How units of a kind end by themselves: their exit codes, or minus a signal's number.
CODES = {
    "pass": frozenset((0,)),
    "fail": frozenset((1,)),
    "flaky": frozenset((0, 1)),
    "crash": frozenset((-11,)),
    "hang": frozenset[int](),
    "stubborn": frozenset[int](),
    "daemon": frozenset((0,)),
    "loud": frozenset((0,)),
}

#: Arguments: unit, run, attempt, worker. `version.txt` lies in the tree, and is changed with each sync.
SCRIPT = r"""#!/usr/bin/env bash
read -r now _ </proc/uptime
read -r version <version.txt
printf 'start\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$$" "$now" "$SLTFLEET_RUN_DIR" "$2 $3" "$4" "$1" "$version" >>"$LOG"
say_end() {
  read -r now _ </proc/uptime
  printf 'end\t%s\t%s\t%s\t%s\t%s\n' "$$" "$now" "$SLTFLEET_RUN_DIR" "$run $attempt" "$1" >>"$LOG"
}
run=$2 attempt=$3 naps=${1#*-}
ulimit -c 0
code=0
case $1 in
  fail-*) sleep "$naps"; echo "assertion failed: left == right"; code=1 ;;
  flaky-*) sleep "$naps"; code=$((RANDOM % 2)) ;;
  crash-*) sleep "$naps"; say_end -11; kill -SEGV $$ ;;
  stubborn-*) trap '' TERM; sleep "$naps" ;;
  daemon-*) (setsid sleep 600 </dev/null >/dev/null 2>&1 &); sleep "$naps" ;;
  loud-*) sleep "$naps"; head -c 1500000 /dev/zero | tr '\0' '#' ;;
  *) sleep "$naps" ;;
esac
say_end "$code"
exit "$code"
"""


@dataclass(frozen=True)
class Seen:
    """What one attempt said of itself. `end_s` and `code` are None where it never got there."""

    run: str
    host: str
    attempt: int
    pid: int
    worker: int
    unit: str
    version: str
    start_s: float
    end_s: float | None = None
    code: int | None = None

    @property
    def where(self) -> str:
        """The attempt, for a message."""
        return f"{self.run} {self.host} attempt {self.attempt} ({self.unit}, pid {self.pid})"


def read_log(text: str, hosts: dict[str, str]) -> list[Seen]:
    """Return the attempts of an observer's log, in the order of their starts.

    `hosts`: the name of each host by its folder of runs, since the log has only folders. Raises ValueError for a line
    that no unit writes.
    """
    begun: dict[tuple[str, str], Seen] = {}
    for line in text.splitlines():
        word, pid, now, folder, which, *rest = line.split("\t")
        path = PurePath(folder)
        key = (folder, f"{which} {pid}")
        if word == "start":
            worker, unit, version = rest
            run, attempt = which.split(" ")
            if run != path.name:
                raise ValueError(f"an attempt of {run} ran with the mark of {folder}")
            host = hosts[str(path.parent)]
            begun[key] = Seen(run, host, int(attempt), int(pid), int(worker), unit, version, float(now))
        elif word == "end" and key in begun and begun[key].end_s is None:
            seen = begun[key]
            begun[key] = Seen(**{**vars(seen), "end_s": float(now), "code": int(rest[0])})
        else:
            raise ValueError(f"the observer's log has a line that belongs to no attempt: {line!r}")
    return list(begun.values())
