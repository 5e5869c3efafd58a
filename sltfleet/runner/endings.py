"""How an attempt is ended before its time: asked first (SIGTERM), then made to (SIGKILL). Changes only the slot."""

from __future__ import annotations

import signal
from typing import Iterable, List, Mapping, Optional

from sltfleet.runner import slots as st
from sltfleet.runner.messages import Action, SignalGroup
from sltfleet.runner.slots import Slot
from sltfleet.runner.verdicts import Cause, CutShort, OverLimit

#: When the run ends, SIGKILL follows SIGTERM after at most this: the budget is the budget.
CUT_KILL_AFTER_S = 1.0

#: A process that SIGKILL does not end within this hangs in the kernel: neither its worker nor the end of the run waits
#: for it any longer.
GIVE_UP_AFTER_S = 10.0


def ask_to_end(slot: Slot, cause: Cause, now: float, kill_after_s: float) -> List[Action]:
    """Ask the worker's attempt to end. One that is being ended already only gets less time for it."""
    state = slot.state
    if isinstance(cause, CutShort):
        kill_after_s = min(kill_after_s, CUT_KILL_AFTER_S)
    if isinstance(state, st.Running):
        slot.state = st.Ending(state.attempt, state.pid, state.since_s, cause, now + kill_after_s)
        return [SignalGroup(state.pid, signal.SIGTERM)]
    if isinstance(state, st.Ending):
        due_s = min(state.due_s, now + kill_after_s)
        slot.state = st.Ending(state.attempt, state.pid, state.since_s, state.cause, due_s)
    return []


def kill(slot: Slot, cause: Cause, now: float) -> List[Action]:
    """End the worker's attempt at once, where one runs that was not killed before."""
    state = slot.state
    if not isinstance(state, (st.Running, st.Ending)):
        return []
    slot.state = st.Killed(state.attempt, state.pid, state.since_s, cause, now + GIVE_UP_AFTER_S)
    return [SignalGroup(state.pid, signal.SIGKILL)]


def kill_over_limit(
    slots: Iterable[Slot], used_bytes: Mapping[int, int], limit_bytes: Optional[int], now: float
) -> List[Action]:
    """End the attempts whose process group uses more memory than `limit_bytes`: there is no time to ask."""
    actions: List[Action] = []
    if limit_bytes is None or not used_bytes:
        return actions
    for slot in slots:
        used = used_bytes.get(slot.state.pid, 0) if isinstance(slot.state, st.Running) else 0
        if used > limit_bytes:
            actions += kill(slot, OverLimit(used, limit_bytes), now)
    return actions
