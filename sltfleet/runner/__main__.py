"""The runner's command line: `python3 runner.pyz COMMAND`, see USAGE below.

`prepare`, `launch`, `resume` and `stop` answer with one line behind the marker of `sltfleet.wire.handshake`, `repro` as
`sltfleet.wire.repro` says, `queue-check` as `sltfleet.wire.queue_check` does. Exit codes: 0 done, 2 wrong usage, 3
refused. Every command imports only what it needs: a host may be slow, and an answer is waited for.
"""

from __future__ import annotations

import os
import sys
from typing import List, Optional

USAGE = """usage: runner.pyz prepare RUN_DIR
       runner.pyz launch RUN_DIR
       runner.pyz run RUN_DIR
       runner.pyz resume RUN_DIR
       runner.pyz go-on RUN_DIR
       runner.pyz stop RUN_DIR [--timeout SECONDS]
       runner.pyz repro RUN_DIR REQUEST [--watch FD]
       runner.pyz queue-check <URL
"""

#: So long `stop` waits for a runner by default.
STOP_TIMEOUT_S = 30.0


def main(arguments: List[str]) -> int:
    """Do what the arguments say and return the exit code."""
    if not sys.platform.startswith("linux"):
        sys.stderr.write(f"sltfleet: the runner needs Linux, this host is {sys.platform}\n")
        return 3
    if len(arguments) == 2 and arguments[0] == "prepare":
        return _prepare(arguments[1])
    if len(arguments) == 2 and arguments[0] == "launch":
        return _launch(arguments[1])
    if len(arguments) == 2 and arguments[0] == "resume":
        return _resume(arguments[1])
    if len(arguments) == 2 and arguments[0] in ("run", "go-on"):
        return _run(arguments[1], go_on=arguments[0] == "go-on")
    if len(arguments) in (2, 4) and arguments[0] == "stop":
        timeout_s = _seconds(arguments[2:])
        if timeout_s is not None:
            return _stop(arguments[1], timeout_s)
    if len(arguments) in (3, 5) and arguments[0] == "repro":
        return _repro(arguments[1], arguments[2], arguments[3:])
    if arguments == ["queue-check"]:
        return _queue_check()
    sys.stderr.write(USAGE)
    return 2


def _prepare(run_dir: str) -> int:
    from sltfleet.runner.prepare import prepare
    from sltfleet.wire.handshake import Prepared, answer_to_line

    answer = prepare(run_dir)
    sys.stdout.write(answer_to_line(answer))
    return 0 if isinstance(answer, Prepared) else 3


def _launch(run_dir: str) -> int:
    from sltfleet.runner.launch import launch
    from sltfleet.wire.handshake import Launched, answer_to_line

    answer = launch(run_dir, os.path.abspath(sys.argv[0]))
    sys.stdout.write(answer_to_line(answer))
    return 0 if isinstance(answer, Launched) else 3


def _resume(run_dir: str) -> int:
    from sltfleet.runner.resume import resume
    from sltfleet.wire.handshake import Launched, answer_to_line

    answer = resume(run_dir, os.path.abspath(sys.argv[0]))
    sys.stdout.write(answer_to_line(answer))
    return 0 if isinstance(answer, Launched) else 3


def _run(run_dir: str, go_on: bool) -> int:
    from sltfleet.runner.run import run

    return run(run_dir, go_on)


def _stop(run_dir: str, timeout_s: float) -> int:
    from sltfleet.runner.stop import stop
    from sltfleet.wire.handshake import answer_to_line

    sys.stdout.write(answer_to_line(stop(run_dir, timeout_s)))
    return 0


def _repro(run_dir: str, text: str, watch: List[str]) -> int:
    from sltfleet.runner.repro import repro
    from sltfleet.wire.codec import DecodeError
    from sltfleet.wire.format import FormatError
    from sltfleet.wire.repro import request_from_text

    try:
        request = request_from_text(text)
    except (DecodeError, FormatError) as error:
        sys.stderr.write(f"sltfleet: {error}\n")
        return 2
    if watch and not (watch[0] == "--watch" and watch[1].isdigit()):
        sys.stderr.write(USAGE)
        return 2
    return repro(run_dir, request, int(watch[1]) if watch else None)


def _queue_check() -> int:
    from sltfleet.runner.queue_check import check_queue
    from sltfleet.wire.queue_check import queue_answer_to_line

    sys.stdout.write(queue_answer_to_line(check_queue(sys.stdin.read().strip())))
    return 0


def _seconds(arguments: List[str]) -> Optional[float]:
    if not arguments:
        return STOP_TIMEOUT_S
    if arguments[0] != "--timeout":
        return None
    try:
        seconds = float(arguments[1])
    except ValueError:
        return None
    return seconds if 0 <= seconds < 1e9 else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
