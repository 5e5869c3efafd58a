"""Run ids: they sort by time, are safe as a file name and in a shell, and do not collide between two controllers."""

from __future__ import annotations

import re
from datetime import datetime, timezone

#: 20261123-120312-3f9a1c: UTC date and time, then six hex digits of chance.
RUN_ID_PATTERN = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{6}\Z")

_MOMENT = "%Y%m%d-%H%M%S"


def new_run_id(now_s: float, chance: int) -> str:
    """Return the id of a run that starts at `now_s` (seconds since the epoch); `chance` is a random 24-bit number."""
    return f"{datetime.fromtimestamp(now_s, timezone.utc):{_MOMENT}}-{chance & 0xFFFFFF:06x}"


def started_at_s(run_id: str) -> float | None:
    """Return when the run started, in seconds since the epoch; None where the id tells no moment that ever was."""
    try:
        return datetime.strptime(run_id[:15], _MOMENT).replace(tzinfo=timezone.utc).timestamp()
    except ValueError:
        return None


def short_run_id(run_id: str) -> str:
    """Return the end of a run's id, by which it can be named as well: it is enough for a person to tell runs apart."""
    return run_id.rpartition("-")[2]


def is_run_id(text: str) -> bool:
    """Whether `text` is a run id and nothing else: what a host says is checked by this before it becomes a path."""
    return RUN_ID_PATTERN.match(text) is not None
