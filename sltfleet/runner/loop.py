"""The event loop: the thin shell around the dispatcher.

Signals are blocked and waited for (`sigtimedwait`), so there is no handler and nothing to race with. A worker's idle
gap is what this program is about, so one turn of the loop does, for every child that ended: reap it, read its verdict,
start the worker's next attempt. Only then, when all workers are busy again, come outputs, journal, samples and state.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Deque, Dict, List, Mapping, Optional, Set, Tuple

from sltfleet.runner import linux
from sltfleet.runner.artifacts import Artifacts
from sltfleet.runner.batches import members
from sltfleet.runner.collect import Collector
from sltfleet.runner.dispatch import Dispatcher
from sltfleet.runner.files import make_folder
from sltfleet.runner.footprint import Footprint, OomKills
from sltfleet.runner.messages import (
    Abandon,
    Action,
    Attempt,
    Begin,
    Event,
    Exited,
    Finish,
    QueueTold,
    Record,
    Settle,
    SignalGroup,
    Spawn,
    SpawnFailed,
    Started,
    StopRequested,
    Tick,
    WriteState,
)
from sltfleet.runner.orphans import Orphans
from sltfleet.runner.outputs import GrowingOutput, Outputs
from sltfleet.runner.pace import next_due_s
from sltfleet.runner.paths import RunPaths
from sltfleet.runner.phases import Over
from sltfleet.runner.processes import signal_attempt
from sltfleet.runner.replay import Past
from sltfleet.runner.reporter import Reporter
from sltfleet.runner.sampler import Sampler
from sltfleet.runner.spawn import Spawner, template_values
from sltfleet.runner.units import Unit
from sltfleet.wire import events as wire
from sltfleet.wire.spec import Spec
from sltfleet.wire.state import Identity
from sltfleet.wire.template import TemplateError

if TYPE_CHECKING:
    from sltfleet.runner.shared_queue import SharedQueue

#: What the loop waits for. SIGHUP is ignored: a runner outlives the connection that started it.
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
SIGNALS = (signal.SIGCHLD, *STOP_SIGNALS)

#: What follows is due at whole multiples of these, so that one wake-up serves all of it.
SAMPLE_EVERY_S = 1.0
STATE_EVERY_S = 1.0

#: A test may fill gigabytes in a second; reading what is left takes 50 µs.
MEMORY_EVERY_S = 0.25

#: How often the outputs' sizes are looked at: as a rule, and while one grows fast.
WATCH_EVERY_S = 0.25
WATCH_FAST_S = 0.02

#: So many more children than there are attempts are reaped in one turn: orphans.
REAP_SPARE = 16

#: So long what is left of the run's processes may take to go.
END_ALL_S = 3.0


class Loop:
    """Runs one run. `identity` is this process; `units` are the run's; `past` is what is behind one that is resumed.

    `queue` is what the hosts share, if they do.
    """

    def __init__(
        self,
        spec: Spec,
        paths: RunPaths,
        identity: Identity,
        units: Tuple[Unit, ...],
        dispatcher: Dispatcher,
        environment: Mapping[str, str],
        past: Optional[Past] = None,
        queue: Optional[SharedQueue] = None,
    ) -> None:
        self._spec = spec
        self._past = past
        self._units: Dict[str, Unit] = {unit.id: unit for unit in units}
        self._dispatcher = dispatcher
        self._queue = queue
        self._signals = SIGNALS if queue is None else (*SIGNALS, queue.wake_signal)
        make_folder(paths.slots)
        self._reporter = Reporter(spec, paths, identity, tuple(self._units), dispatcher)
        self._outputs = Outputs(paths.slots, spec.limits.output_bytes)
        self._artifacts = Artifacts(paths, spec.limits.artifacts_bytes, spec.limits.output_bytes)
        self._spawner = Spawner(spec, paths, environment)
        self._orphans = Orphans(paths.root)
        self._sampler = Sampler(past.runner_cpu_s if past else 0.0)
        self._footprint = Footprint()
        self._oom_kills = OomKills()
        #: The running attempts by pid, and what collects their verdicts.
        self._running: Dict[int, Tuple[Attempt, Collector]] = {}
        #: Those that the kernel has been told to take first. Not at their start: that is the gap between two.
        self._expendable: Set[int] = set()
        #: What attempts that are over printed, until it is kept.
        self._taken: Dict[int, Optional[GrowingOutput]] = {}
        #: Actions that may wait until the workers are busy again.
        self._deferred: Deque[Action] = deque()
        #: Processes that SIGKILL did not end, and that nobody waits for.
        self._stuck: Set[int] = set()
        self._zero = 0.0
        self._next_sample = self._next_state = self._next_watch = self._next_memory = 0.0
        self._finished = False
        self._more_to_reap = False

    def run(self, notes: Tuple[str, ...], cores: float, memory_bytes: int, members: int = 1) -> None:
        """Run until the dispatcher says that it is over; the run has so many hosts.

        Raises whatever goes wrong in the runner itself.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, self._signals)
        begin_s = self._past.elapsed_s if self._past else 0.0
        self._zero = time.monotonic() - begin_s
        self._next_sample, self._next_state = next_due_s(begin_s, SAMPLE_EVERY_S), begin_s
        if self._past is None:
            self._reporter.started(cores, memory_bytes, notes, members)
        else:
            self._reporter.resumed(self._past, notes)
        try:
            self._check_memory(begin_s)
            if self._queue is not None:
                self._queue.start(begin_s)
            self._handle(Begin(), begin_s)
            self._settle_down()
            while not self._finished:
                self._turn()
        except BaseException:
            with contextlib.suppress(Exception):  # whatever is wrong, what has ended is not lost
                self._do_deferred()
            self._orphans.end_all(END_ALL_S)
            self._reporter.failed(self._now(), sys.exc_info()[1])
            raise
        self._outputs.clear()
        self._orphans.end_all(END_ALL_S)
        self._reporter.last_writes(self._zero)

    # --- one turn ----------------------------------------------------------------------------------------------------

    def _now(self) -> float:
        return time.monotonic() - self._zero

    def _turn(self) -> None:
        wait_s = 0.0 if self._more_to_reap else max(0.0, self._next_wake() - self._now())
        received = signal.sigtimedwait(self._signals, wait_s)
        self._reap()
        # Another number may mean nothing: to a process that was stopped (SIGSTOP, a freezer) and goes on after the
        # timeout, CPython's sigtimedwait returns a structure that nobody has filled.
        if received is not None and received.si_signo in STOP_SIGNALS:
            self._handle(StopRequested(), self._now())
        if self._queue is not None:
            events = self._queue.receive(self._now())
            if events is not None:
                self._handle(QueueTold(tuple(events)), self._now())
        now = self._now()
        deadline = self._dispatcher.next_deadline()
        if deadline is not None and now >= deadline:
            self._handle(Tick(), now)
        self._settle_down()

    def _next_wake(self) -> float:
        times = [self._next_sample, self._next_state, self._next_watch, self._next_memory]
        for deadline in (self._dispatcher.next_deadline(), self._queue.due_s if self._queue is not None else None):
            if deadline is not None:
                times.append(deadline)
        return min(times)

    def _settle_down(self) -> None:
        """Everything that can wait until the workers are busy again."""
        now = self._now()
        if self._queue is not None:
            self._queue.send(now)
            self._reporter.troubles["queue"] = self._queue.trouble
        if now >= self._next_memory:
            self._check_memory(now)
        if now >= self._next_sample and not isinstance(self._dispatcher.phase, Over):
            self._next_sample = next_due_s(now, SAMPLE_EVERY_S)
            self._oom_kills.forget()
            sample = self._sampler.take()
            if sample is not None:
                self._handle(sample, now)
        self._do_deferred()
        if now >= self._next_watch:
            fastest, problems = self._outputs.watch()
            self._reporter.troubles["watch"] = problems[0] if problems else ""
            fast = fastest > self._spec.limits.output_bytes // 4
            self._next_watch = now + WATCH_FAST_S if fast else next_due_s(now, WATCH_EVERY_S)
        self._reporter.flush()
        if now >= self._next_state:
            stuck = ", ".join(map(str, sorted(self._stuck)))
            self._reporter.troubles["stuck"] = f"SIGKILL does not end: {stuck} (stuck in the kernel)" if stuck else ""
            self._next_state = next_due_s(now, STATE_EVERY_S)
            self._reporter.write_state(now)

    def _do_deferred(self) -> None:
        while self._deferred:
            action = self._deferred.popleft()
            if isinstance(action, Settle):
                first = self._keep_output(action.event, action.process or action.event.attempt)
                self._reporter.record(first)
                for event in action.others:
                    self._reporter.record(dataclasses.replace(event, output=first.output))
            elif isinstance(action, Record):
                if isinstance(action.event, wire.RunFinished):  # the last line of the journal
                    self._say_goodbye(action.event.t)
                self._reporter.record(action.event)
            elif isinstance(action, WriteState):
                self._next_state = 0.0
            elif isinstance(action, Finish):
                self._finished = True

    def _say_goodbye(self, now: float) -> None:
        """No worker is left, so the queue may be waited for."""
        for event in self._queue.goodbye(now) if self._queue is not None else ():
            self._reporter.record(event)

    def _check_memory(self, now: float) -> None:
        self._next_memory = next_due_s(now, MEMORY_EVERY_S)
        for pid in self._running.keys() - self._expendable:
            linux.raise_oom_score(pid)
        self._expendable = set(self._running)
        groups = self._running if self._spec.limits.memory_limit_bytes is not None else ()
        checked = self._footprint.check(groups)
        if checked is not None:
            self._handle(checked, now)

    # --- doing what the dispatcher says ------------------------------------------------------------------------------

    def _handle(self, event: Event, now: float) -> None:
        """Tell the dispatcher, start and signal at once, and leave the rest for later, in order."""
        answers: List[Tuple[Event, float]] = []
        for action in self._dispatcher.handle(event, now):
            if isinstance(action, Spawn):
                answers.append(self._spawn(action))
            elif isinstance(action, SignalGroup):
                signal_attempt(action.pid, action.signal)
            elif isinstance(action, Abandon):
                self._abandon(action.pid)
            else:
                self._deferred.append(action)
        for answer, at in answers:
            self._handle(answer, at)

    def _spawn(self, action: Spawn) -> Tuple[Event, float]:
        attempt = action.attempt
        at = self._now()
        units = [self._units[one.unit] for one in members(attempt)]
        values = template_values(self._spec, units[0], attempt, action.remaining_s, self._spawner.binary(units[0]))
        tests = [unit.values["test"] for unit in units if unit.binary]
        try:
            folder = self._spawner.folder(attempt.worker, units[0])
            collector = Collector(self._spec.verdict, folder, values, tests, units[0].prefix)
            pid = self._spawner.spawn(attempt, units, values, self._outputs.path(attempt.worker), ahead=action.ahead)
        except (OSError, TemplateError, ValueError) as error:
            return SpawnFailed(attempt, f"cannot start the attempt: {error}"), at
        self._running[pid] = (attempt, collector)
        self._orphans.started(pid, attempt.number)
        return Started(attempt, pid), at

    def _abandon(self, pid: int) -> None:
        attempt, _ = self._running.pop(pid)
        self._orphans.abandoned(pid)
        self._taken[attempt.number] = self._outputs.take(attempt.worker, reusable=False)
        self._stuck.add(pid)

    def _reap(self) -> None:
        """Take every child that has ended by now: signals are merged, so one SIGCHLD may stand for many.

        Very short attempts end as fast as they are started, so the number taken in one turn is bounded: the journal,
        the clock and the state file must have their turn as well.
        """
        strays = False
        self._more_to_reap = True
        for _ in range(len(self._running) + REAP_SPARE):
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                pid = 0
            if pid == 0:
                self._more_to_reap = False
                break
            now = self._now()
            self._orphans.reaped(pid)
            self._stuck.discard(pid)
            if pid not in self._running:
                strays = True  # an orphan: its own children are ours now
                continue
            attempt, collector = self._running.pop(pid)
            survivors = self._orphans.end_remains(pid)
            code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
            verdict = collector.collect(code, self._outputs.current(attempt.worker))
            self._taken[attempt.number] = self._outputs.take(attempt.worker, reusable=not survivors)
            number = os.WTERMSIG(status) if code is None else None
            exited = Exited(
                attempt=attempt,
                exit_code=code,
                signal=number,
                verdict=verdict,
                rusage=wire.Rusage(
                    user_s=usage.ru_utime,
                    system_s=usage.ru_stime,
                    max_rss_bytes=usage.ru_maxrss * 1024,
                    major_faults=usage.ru_majflt,
                    voluntary_switches=usage.ru_nvcsw,
                    involuntary_switches=usage.ru_nivcsw,
                ),
                survivors=survivors,
                oom_killed=number == signal.SIGKILL and self._oom_kills.take(),
            )
            self._handle(exited, now)
        if strays:
            self._orphans.end_strays()

    def _keep_output(self, event: wire.AttemptFinished, process: int) -> wire.AttemptFinished:
        taken = self._taken.pop(process, None)
        if taken is None:
            return event
        try:
            output = self._artifacts.keep(event, taken)
        except OSError as error:
            self._reporter.troubles["outputs"] = f"outputs cannot be kept: {error.strerror}"
            return event
        self._reporter.troubles["outputs"] = ""
        return dataclasses.replace(event, output=output)
