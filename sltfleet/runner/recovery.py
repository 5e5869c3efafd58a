"""Reads what a runner that is gone has left in the run's folder, and makes it fit to be gone on with.

A last line that was torn is taken off the journal. A line in the middle that cannot be read is an error: what stands
behind it could not be trusted, and nobody who reads the journal later would get beyond it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Optional, Tuple

from sltfleet.runner.files import remove_file
from sltfleet.runner.knowledge import Knowledge
from sltfleet.runner.paths import RunPaths
from sltfleet.runner.replay import Past, Replay
from sltfleet.runner.shards import shard_of
from sltfleet.runner.statefile import read_state
from sltfleet.wire.codec import DecodeError
from sltfleet.wire.events import RunStarted, event_from_line
from sltfleet.wire.format import FormatError
from sltfleet.wire.share import Share
from sltfleet.wire.spec import Spec

#: So much of a torn line is kept, as a note.
MAX_TORN_BYTES = 1000


class RecoveryError(Exception):
    """The run cannot be gone on with."""


@dataclass(frozen=True)
class Read:
    """A journal that was read: its whole lines end at byte `end`. Behind them stand `torn_bytes` more, which begin
    with `torn`.
    """

    replay: Replay
    end: int
    torn_bytes: int
    torn: bytes


def recover(paths: RunPaths, spec: Spec, share: Optional[Share] = None) -> Tuple[Past, Tuple[str, ...]]:
    """Return what is behind the run, and notes on what was done to its folder. No runner of it may be alive.

    Raises RecoveryError and OSError.
    """
    read = read_journal(paths.journal, spec, share)
    if read.replay.reason is not None:
        raise RecoveryError(f"the run has come to its end ({read.replay.reason})")
    notes: Tuple[str, ...] = ()
    if read.torn_bytes:
        os.truncate(paths.journal, read.end)
        notes = (f"the journal ended in a torn line of {read.torn_bytes} bytes, which was taken off: {read.torn!r}",)
    if os.path.isdir(paths.slots):
        for name in os.listdir(paths.slots):  # what the lost attempts printed: new ones would write behind it
            remove_file(os.path.join(paths.slots, name))
    return read.replay.past(_elapsed_s(paths, spec)), notes


def read_journal(path: str, spec: Spec, share: Optional[Share] = None) -> Read:
    """Return what the journal says. Raises RecoveryError, and OSError where it cannot be read."""
    replay: Optional[Replay] = None
    end = 0
    with open(path, "rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            try:
                event = event_from_line(line)
            except (DecodeError, FormatError) as error:
                raise RecoveryError(f"its journal cannot be read beyond byte {end}: {error}") from None
            if replay is not None:
                replay.add(event)
            elif isinstance(event, RunStarted):
                history = {unit: spec.history[unit] for unit in event.units if unit in spec.history}
                shard = None
                if share is not None and event.share_units is not None:
                    shard = shard_of(event.units, share, spec.history, spec.limits)
                knowledge = Knowledge(history, spec.limits, spec.speed)
                replay = Replay(event, knowledge, shard, queued=share is not None and share.queue is not None)
            else:
                raise RecoveryError(f"its journal begins with {event.kind}, not with {RunStarted.kind}")
            end += len(line)
        if replay is None:
            raise RecoveryError("its journal is empty: the runner was lost before the first attempt")
        file.seek(end)
        return Read(replay, end, os.fstat(file.fileno()).st_size - end, file.read(MAX_TORN_BYTES))


def _elapsed_s(paths: RunPaths, spec: Spec) -> float:
    """How far the run's clock was when the state file was written; 0 where that cannot be read."""
    state = read_state(paths)
    return state.elapsed_s if state is not None and state.run_id == spec.run_id else 0.0
