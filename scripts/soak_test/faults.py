"""Does one fault of the plan to the scene, and undoes those that last. Says in a line what it did.

Only processes that belong to the scene are touched: runners by boot id, pid and start ticks, attempts by the mark in
their environment, commands by their own process.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from collections.abc import Callable

from soak_test import plan
from soak_test.accounting import ATTEMPTS_KILLED, FROZEN, FULL, KILLED, TORN, Harm
from soak_test.plan import Fault
from soak_test.scene import Scene, Typing, now_s

#: Undoes a fault that lasts.
Undo = Callable[[], None]

#: What was done, for the line that tells of it, and how to undo it.
Done = tuple[str, Undo | None]

NOTHING = "nothing there to do it to"

#: A command connects so long after it was typed, also on a busy machine.
CONNECTS_WITHIN_S = 4.0


def do(scene: Scene, fault: Fault) -> Done:
    """Do a fault."""
    host = fault.host
    doers: dict[str, Callable[[], Done]] = {
        plan.KILL_RUNNER: lambda: _kill_runner(scene, host),
        plan.TEAR_JOURNAL: lambda: _tear_journal(scene, host),
        plan.STOP_RUNNER: lambda: _stop_runner(scene, host),
        plan.KILL_ATTEMPTS: lambda: _kill_attempts(scene, host),
        plan.DROP_SESSIONS: lambda: _drop_sessions(scene, fault),
        plan.SSHD_DOWN: lambda: _sshd_down(scene, host),
        plan.DISK_FULL: lambda: _fill_disk(scene, host),
        plan.SYNC_CHANGED: lambda: _sync_changed(scene),
        plan.KILL_COMMAND: lambda: _signal_later(scene, fault, signal.SIGKILL),
        plan.INTERRUPT_COMMAND: lambda: _signal_later(scene, fault, signal.SIGINT),
        plan.SECOND_RUN: lambda: _begin(scene, "run", "--detach", "--budget", "3s"),
        plan.REPLACE_RUN: lambda: _begin(scene, "run", "--detach", "--replace", "--budget", "5s"),
        plan.RESUME: lambda: _resume(scene),
        plan.LOOK: lambda: _begin(scene, *fault.words),
    }
    return doers[fault.kind]()


def _kill_runner(scene: Scene, host: str, kind: str = KILLED) -> Done:
    pid, run, start_s = scene.runner(host), scene.current(host), now_s()
    if pid is None:
        return NOTHING, None
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    while scene.runner(host) == pid:
        continue
    scene.harms.append(Harm(kind, run, host, start_s, now_s()))
    return f"runner {pid} of {run} killed", None


def _tear_journal(scene: Scene, host: str) -> Done:
    """Kill the runner, fetch, and take the end of the journal away, as a crash of the host may after a fetch."""
    said, _ = _kill_runner(scene, host, TORN)
    if said != NOTHING:
        scene.types("fetch", "--no-tables")
        journal = scene.campaign.run_dir(host) / "journal.jsonl"
        data = journal.read_bytes()
        last = data.rstrip(b"\n").rfind(b"\n") + 1
        if last:  # never within run-started, which is written and flushed before a run counts as started
            os.truncate(journal, last + (len(data) - last) // 2)
            said += ", its journal ends within a line"
    return said, None


def _stop_runner(scene: Scene, host: str) -> Done:
    pid, run, start_s = scene.runner(host), scene.current(host), now_s()
    if pid is None:
        return NOTHING, None
    os.kill(pid, signal.SIGSTOP)

    def undo() -> None:
        if scene.runner(host) == pid:
            os.kill(pid, signal.SIGCONT)
        scene.harms.append(Harm(FROZEN, run, host, start_s, now_s()))

    return f"runner {pid} frozen", undo


def _kill_attempts(scene: Scene, host: str) -> Done:
    run, start_s = scene.current(host), now_s()
    if not run:
        return NOTHING, None
    killed = set()
    for pid in scene.campaign.attempts_alive(host):
        with contextlib.suppress(ProcessLookupError):
            if os.getpgid(pid) == pid:
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
    scene.harms.append(Harm(ATTEMPTS_KILLED, run, host, start_s, now_s(), frozenset(killed)))
    return f"{len(killed)} attempts killed", None


def _drop_sessions(scene: Scene, fault: Fault) -> Done:
    said, _ = _begin(scene, *_with_budget(fault.words))
    deadline_s = now_s() + CONNECTS_WITHIN_S
    while not (cut := scene.campaign.loopback.drop_sessions(fault.host)) and now_s() < deadline_s:
        time.sleep(0.02)
    return f"{said}, {cut} connections cut", None


def _sshd_down(scene: Scene, host: str) -> Done:
    scene.campaign.loopback.take_down(host)
    return "sshd ended", lambda: scene.campaign.loopback.start(host)


def _fill_disk(scene: Scene, host: str) -> Done:
    if not scene.own_disks:
        return "not possible here: no file system can be mounted", None
    filler = scene.campaign.roots[host] / "filler"
    run, start_s = scene.current(host), now_s()
    size = _fill(str(filler))

    def undo() -> None:
        filler.unlink()
        for name in {run, scene.current(host)} - {""}:
            scene.harms.append(Harm(FULL, name, host, start_s, now_s()))

    return f"the last {size // 1024} KiB taken", undo


def _fill(path: str) -> int:
    """Write into a file until there is no room left, and return its size."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    size = 0
    try:
        block = bytes(1 << 20)
        while block:
            try:
                size += os.write(descriptor, block)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                block = block[: len(block) // 2] if len(block) > 4096 else b""
    finally:
        os.close(descriptor)
    return size


def _sync_changed(scene: Scene) -> Done:
    scene.change_repo()
    return _begin(scene, "sync")[0] + f", version {scene.version}", None


def _resume(scene: Scene) -> Done:
    return _begin(scene, "resume", "--detach") if scene.resumes else ("not possible yet: no such command", None)


def _begin(scene: Scene, *words: str) -> Done:
    scene.begin(*words)
    return f"`sltfleet {' '.join(words)}`", None


def _signal_later(scene: Scene, fault: Fault, number: signal.Signals) -> Done:
    words = _with_budget(fault.words)
    typing = scene.begin(*words)
    return f"`sltfleet {' '.join(words)}`", lambda: end_command(typing, number)


def _with_budget(words: tuple[str, ...]) -> tuple[str, ...]:
    return (*words, "--budget", "4s") if words[0] == "run" else words


def end_command(typing: Typing, number: signal.Signals) -> None:
    """Send a command a signal: SIGINT as a terminal does, to all that it started; SIGKILL to itself only."""
    if typing.process.poll() is not None:
        return
    typing.ended_by = number
    with contextlib.suppress(ProcessLookupError):
        if number == signal.SIGINT:
            os.killpg(typing.process.pid, number)
        else:
            os.kill(typing.process.pid, number)
