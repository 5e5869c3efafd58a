"""What a person sees while something takes more than a moment: steps of the hosts, and a run that is watched.

On a terminal it redraws itself; elsewhere it is plain lines, few of them. All of it goes to standard error.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from sltfleet.core.polling import HostStatus
from sltfleet.report.sanitize import visible
from sltfleet.report.status_tables import active, coverage, problem_lines, status_table, time_left
from sltfleet.report.terminal import is_live, tell, wants_color
from sltfleet.report.text import percent
from sltfleet.wire.state import RUNNING as PHASE_RUNNING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

#: Without a terminal a watched run says where it stands this often.
PLAIN_INTERVAL_S = 15.0


class WatchDisplay:
    """The table of a watched run, redrawn in place on a terminal."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._live: Live | None = None
        self._last_plain_s = float("-inf")

    def __enter__(self) -> WatchDisplay:
        if is_live():
            from rich.live import Live

            self._live = Live(console=rich_console(), refresh_per_second=8, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, statuses: Sequence[HostStatus]) -> None:
        """Draw the newest numbers."""
        if self._live is not None:
            from rich.text import Text

            lines = [self._title, *status_table(statuses).splitlines(), *problem_lines(statuses), DETACH_HINT]
            self._live.update(Text.from_ansi("\n".join(lines), no_wrap=True, overflow="ellipsis"))
        elif time.monotonic() - self._last_plain_s >= PLAIN_INTERVAL_S and any(map(_says_something, statuses)):
            self._last_plain_s = time.monotonic()
            for status in statuses:
                tell(plain_line(status))


def _says_something(status: HostStatus) -> bool:
    """Whether a line on it is worth its place: a runner that has only just started has no numbers yet."""
    return bool(status.problem) or (status.state is not None and status.state.elapsed_s >= 1.0)


DETACH_HINT = "Ctrl-C leaves the run running; `sltfleet status` shows it again, `sltfleet stop` ends it"


def plain_line(status: HostStatus) -> str:
    """Return one host's numbers as one line."""
    state = status.state
    if state is None:
        problem = f" ({visible(status.problem)})" if status.problem else ""
        return f"{visible(status.host)}: {status.condition}{problem}"
    left = time_left(status)
    covered, total = coverage(state)
    end = "" if left == "-" else f", {left} left" if state.phase == PHASE_RUNNING else f", reason: {left}"
    return (
        f"{visible(status.host)}: {status.condition}, {active(status)}/{state.workers} active, "
        f"occupancy {percent(state.occupancy)}, pass {state.pass_number}, "
        f"{covered}/{total} units, {state.attempts} attempts, {len(state.failing)} failing{end}"
    )


def rich_console() -> Console:
    """Return rich's console on standard error, coloured by the same rules as everything else."""
    from rich.console import Console

    return Console(stderr=True, no_color=not wants_color(sys.stderr), highlight=False)
