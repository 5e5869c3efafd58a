"""Reads a run's state file: what its runner said last."""

from __future__ import annotations

import json
from typing import Optional

from sltfleet.runner.paths import RunPaths
from sltfleet.wire.state import FINISHED, State, state_from_json


def read_state(paths: RunPaths) -> Optional[State]:
    """Return the state of the run, None where there is no file or it cannot be read."""
    try:
        with open(paths.state, "rb") as file:
            return state_from_json(json.loads(file.read()))
    except (OSError, ValueError, RecursionError):
        return None


def said_goodbye(paths: RunPaths) -> bool:
    """Whether the run's runner came to the end of its own life, whatever ended the run."""
    state = read_state(paths)
    return state is not None and state.phase == FINISHED
