"""What a person can see of a run: its journal, its state file, its samples, and what is wrong with them.

A disk that is full or a folder that is gone must not end a run: problems are kept as text, shown in the state file, and
whatever could not be written is tried again.
"""

from __future__ import annotations

import contextlib
import sys
import time
from typing import Dict, Optional, Tuple

from sltfleet.runner.dispatch import Dispatcher
from sltfleet.runner.files import overwrite_json, write_file
from sltfleet.runner.journal import Journal
from sltfleet.runner.paths import RunPaths
from sltfleet.runner.replay import Past
from sltfleet.runner.snapshot import join_troubles, make_state
from sltfleet.wire import events as wire
from sltfleet.wire.codec import to_text
from sltfleet.wire.spec import Spec
from sltfleet.wire.state import Identity

#: So long the end of the run waits for a journal that cannot be written, trying again this often.
LAST_WRITES_S = 10.0
_RETRY_S = 0.2


class Reporter:
    """Writes the journal and the state file of one run."""

    def __init__(
        self, spec: Spec, paths: RunPaths, identity: Identity, units: Tuple[str, ...], dispatcher: Dispatcher
    ) -> None:
        self._spec = spec
        self._paths = paths
        self._identity = identity
        self._units = units
        self._dispatcher = dispatcher
        self._journal = Journal.at(paths.journal)
        self._started_wall_s = 0.0
        #: What is wrong at the moment, by what it is about; "" where all is well.
        self.troubles: Dict[str, str] = {}

    def started(self, cores: float, memory_bytes: int, notes: Tuple[str, ...], members: int = 1) -> None:
        """The run begins now, on so many hosts."""
        self._started_wall_s = time.time()
        self.record(self._run_started(cores, memory_bytes, members))
        for note in notes:
            self.record(wire.Note(t=0.0, text=note))

    def resumed(self, past: Past, notes: Tuple[str, ...]) -> None:
        """The run goes on now: what was lost with the runner before has its end."""
        self._started_wall_s = past.started.wall_s
        self.record(wire.RunResumed(t=past.elapsed_s, wall_s=time.time(), identity=self._identity))
        for attempt in past.lost:
            self.record(attempt)
        for end in past.passes_over:
            self.record(end)
        for note in notes:
            self.record(wire.Note(t=past.elapsed_s, text=note))

    def record(self, event: wire.Event) -> None:
        """Let an event wait for the next flush."""
        self._journal.add(event)

    def flush(self) -> None:
        """Write what waits, all of it at once."""
        self._journal.flush()

    def write_state(self, now: float, error: bool = False) -> None:
        """Write the state file. `error`: the runner itself has failed."""
        try:
            write_file(self._paths.state, self._state(now, error))
            self.troubles["state"] = ""
        except OSError as problem:
            self.troubles["state"] = f"the state file cannot be written aside: {problem.strerror}"
            # On a full disk a person must see this trouble, even though a reader may now see a torn file.
            with contextlib.suppress(OSError):
                overwrite_json(self._paths.state, self._state(now, error))

    def failed(self, now: float, error: Optional[BaseException]) -> None:
        """The runner itself has failed: say so where a person looks."""
        tally = self._dispatcher.tally
        self.record(wire.Note(t=now, text=f"the runner failed: {error!r}"))
        self.record(wire.RunFinished(now, "error", self._dispatcher.passes_finished, tally.attempts, tally.covered))
        self.flush()
        self.write_state(now, error=True)

    def last_writes(self, zero: float) -> None:
        """Write what could not be written so far; `zero` is the run's start on the monotonic clock."""
        deadline = time.monotonic() + LAST_WRITES_S
        while not self._journal.flush() and time.monotonic() < deadline:
            self.write_state(time.monotonic() - zero)
            time.sleep(_RETRY_S)
        if not self._journal.empty:
            sys.stderr.write(f"sltfleet: {self._journal.trouble}; the journal is incomplete\n")
        self.write_state(time.monotonic() - zero)

    def _state(self, now: float, error: bool) -> bytes:
        dispatcher = self._dispatcher
        state = make_state(
            self._spec,
            self._identity,
            len(self._units),
            dispatcher,
            join_troubles(dispatcher.trouble, dispatcher.shortage, self._journal.trouble, *self.troubles.values()),
            self._started_wall_s,
            time.time(),
            now,
            error,
        )
        return to_text(state).encode("ascii") + b"\n"

    def _run_started(self, cores: float, memory_bytes: int, members: int) -> wire.RunStarted:
        spec = self._spec
        return wire.RunStarted(
            t=0.0,
            run_id=spec.run_id,
            project=spec.project,
            host=spec.host,
            suite=spec.suite,
            wall_s=self._started_wall_s,
            identity=self._identity,
            workers=spec.workers,
            units=self._units,
            budget_s=spec.budget_s,
            seed=spec.seed,
            once=spec.once,
            build_digest=spec.build_digest,
            commit=spec.commit,
            dirty_digest=spec.dirty_digest,
            toolchain=spec.toolchain,
            cores=cores,
            memory_bytes=memory_bytes,
            sltfleet_version=spec.sltfleet_version,
            members=members,
            share_units=self._dispatcher.tally.share_total,
        )
