"""What the controller remembers of the runs it started: `.sltfleet/runs/<id>/run.json`.

It is a convenience, not the truth: the hosts know their runs, and another controller can show and fetch them all the
same.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from sltfleet.core.errors import RunError
from sltfleet.core.paths import LocalPaths
from sltfleet.core.runid import is_run_id
from sltfleet.results.folder import make_state_folder
from sltfleet.wire.codec import decode

#: What to do about a run that another version of sltfleet has written, or whose journal is damaged from its beginning.
UNREADABLE_FIX = "read it with the sltfleet that wrote it (`sltfleet --version`), or start a new run"


@dataclass(frozen=True)
class RunRecord:
    """One run as it was started. `hosts` are those on which it started; `workers` is per host."""

    run_id: str
    project: str
    suite: str
    hosts: tuple[str, ...]
    workers: dict[str, int]
    started_wall_s: float
    budget_s: float
    seed: int
    commit: str
    dirty_digest: str


def save_run(paths: LocalPaths, record: RunRecord) -> None:
    """Write the record. Raises RunError where the folder cannot be written."""
    path = paths.run_record(record.run_id)
    try:
        make_state_folder(paths.state_dir, path.parent)
        write_aside(path, json.dumps(asdict(record), indent=2).encode() + b"\n")
    except OSError as error:
        raise RunError("cannot remember the run", f"{path}: {error.strerror}", "make the folder writable") from error


def load_run(paths: LocalPaths, run_id: str) -> RunRecord | None:
    """Return the record of a run, None where there is none (another controller started it) or it is damaged."""
    try:
        return decode(RunRecord, json.loads(paths.run_record(run_id).read_bytes()))
    except (OSError, ValueError):
        return None


def list_runs(paths: LocalPaths) -> list[str]:
    """Return the ids of all runs known here, oldest first. Raises RunError where the folder cannot be read."""
    try:
        return sorted(entry.name for entry in paths.runs.iterdir() if is_run_id(entry.name))
    except FileNotFoundError:
        return []
    except OSError as error:
        why = f"{paths.runs}: {error.strerror}"
        raise RunError("cannot read what is known of earlier runs", why, "make it a readable folder") from error


def resolve_run(paths: LocalPaths, text: str | None) -> str | None:
    """Return the id of the run that `text` names: a whole id, its beginning or its end, None for the newest.

    None comes back where `text` is None and no run is known here. Raises RunError for a text that names none or
    several.
    """
    known = list_runs(paths)
    if text is None:
        return known[-1] if known else None
    if is_run_id(text):
        return text
    found = [run_id for run_id in known if text and (run_id.startswith(text) or run_id.endswith(text))]
    if len(found) == 1:
        return found[0]
    if found:
        raise RunError(f"{text!r} names several runs", ", ".join(found[-5:]), "give more of the id")
    newest = f"known are {', '.join(known[-3:])}" if known else ""
    raise RunError(f"no run {text!r} is known here", newest, "`sltfleet status` names the newest run of the hosts")


def write_aside(path: Path, data: bytes) -> None:
    """Write `data` beside `path` and rename it there: a reader sees the old content or the new. Raises OSError."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        aside.replace(path)
    except OSError:
        aside.unlink(missing_ok=True)
        raise
