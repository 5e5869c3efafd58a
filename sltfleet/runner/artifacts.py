"""Which outputs of a run are kept, under which names, within which bound.

Every attempt that did not pass keeps its output as `artifacts/attempt-N.out`; of passing attempts the last one of each
unit as `artifacts/last/NAME.out`. When the bound of all kept outputs is reached, only the journal tells of an attempt.
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import Dict

from sltfleet.runner.files import make_folder, remove_file
from sltfleet.runner.outputs import GrowingOutput, store
from sltfleet.runner.paths import RunPaths
from sltfleet.wire import outcome as outcomes
from sltfleet.wire.events import AttemptFinished, Output

_ODD = re.compile(r"[^A-Za-z0-9._-]+")
_NAME_CHARS = 120


def safe_name(unit: str) -> str:
    """Return a file name for a unit: readable, and no two units' names are the same."""
    digest = hashlib.sha256(unit.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    readable = _ODD.sub("_", unit.replace("/", "__")).lstrip(".-")
    return f"{readable[-_NAME_CHARS:]}-{digest}.out"


class Artifacts:
    """The kept outputs of a run."""

    def __init__(self, paths: RunPaths, limit_bytes: int, output_bytes: int) -> None:
        self._paths = paths
        self._limit_bytes = limit_bytes
        self._output_bytes = output_bytes
        make_folder(paths.last)
        #: Of passing attempts: the size of each file. In a run that is resumed there are some already.
        self._sizes: Dict[str, int] = _sizes(paths.last)
        self._used_bytes = sum(self._sizes.values()) + sum(_sizes(paths.artifacts).values())

    def keep(self, event: AttemptFinished, output: GrowingOutput) -> Output:
        """Keep the attempt's output where it belongs. Raises OSError; the output is lost then."""
        size = output.size()
        if not size:
            remove_file(output.path)
            return Output()
        passing = event.outcome in (outcomes.PASS, outcomes.SKIP)
        name = os.path.join("last", safe_name(event.unit)) if passing else f"attempt-{event.attempt}.out"
        path = os.path.join(self._paths.artifacts, name)
        replaced = self._sizes.get(path, 0)
        if self._used_bytes - replaced + min(size, self._output_bytes) > self._limit_bytes:
            remove_file(output.path)
            return Output(size_bytes=size, truncated=True)
        try:
            stored, truncated = store(output, path)
        except OSError:
            remove_file(output.path)
            raise
        self._used_bytes += stored - replaced
        if passing:
            self._sizes[path] = stored
        return Output(size, os.path.relpath(path, self._paths.root), truncated)


def _sizes(folder: str) -> Dict[str, int]:
    """The sizes of the files in a folder, by path. Raises OSError."""
    with os.scandir(folder) as entries:
        return {
            entry.path: entry.stat(follow_symlinks=False).st_size
            for entry in entries
            if entry.is_file(follow_symlinks=False)
        }
