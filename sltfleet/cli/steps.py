"""The display of the steps that hosts go through: connecting, syncing, building, starting.

One bar per host on a terminal; elsewhere a line when a step ends. It listens to `app.progress` events from several
threads.
"""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING

from sltfleet.app.progress import (
    BuildProgress,
    ProgressEvent,
    StepFailed,
    StepFinished,
    StepStarted,
    TransferProgress,
    Warned,
)
from sltfleet.core.size import format_size
from sltfleet.report.live import rich_console
from sltfleet.report.problems import warning_lines
from sltfleet.report.sanitize import visible
from sltfleet.report.terminal import BAD, GOOD, is_live, style, tell

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

#: A build without a terminal names a crate this often.
_PLAIN_INTERVAL_S = 10.0


class StepDisplay:
    """Draws progress events; a context manager, and a `Listener` when called."""

    def __init__(self, *, quiet: bool = False) -> None:
        """`quiet`: what the hosts come to is shown otherwise, and only the bars and warnings are drawn."""
        self._quiet = quiet
        self._lock = threading.Lock()
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._started_s: dict[str, float] = {}
        self._said_s: dict[str, float] = {}

    def __enter__(self) -> StepDisplay:
        if is_live():
            from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

            self._progress = Progress(
                SpinnerColumn(),
                TextColumn("{task.fields[host]}", markup=False),
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[detail]}", markup=False),
                TimeElapsedColumn(),
                console=rich_console(),
                transient=True,
            )
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def __call__(self, event: ProgressEvent) -> None:
        """Draw one event."""
        with self._lock:
            self._draw(event)

    def _draw(self, event: ProgressEvent) -> None:
        match event:
            case StepStarted(host, step):
                self._started_s[host] = time.monotonic()
                self._update(host, step, "", None, None)
            case TransferProgress(host, done_bytes, share, rate):
                percent = "" if share is None else f"{share:.0%}, "
                detail = f"{percent}{format_size(done_bytes)}, {format_size(int(rate))}/s"
                self._update(host, None, detail, share or 0.0, None if share is None else 1.0)
            case BuildProgress(host, crate, done, total):
                self._update(host, None, visible(crate, limit=40), done, total)
                self._say_crate(host, crate, done, total)
            case StepFinished(host, step, summary):
                took = time.monotonic() - self._started_s.get(host, time.monotonic())
                self._end(host)
                if summary and not self._quiet:
                    self._say(f"{style('✓', GOOD)} {visible(host)}: {step}: {visible(summary)} ({took:.1f} s)")
            case StepFailed(host, step, error):
                self._end(host)
                self._say(f"{style('✗', BAD)} {visible(host)}: {step}: {visible(error.what)}")
            case Warned(host, text, fix):
                for line in warning_lines(f"{host}: {text}" if host else text, fix):
                    self._say(line)

    def _say(self, line: str) -> None:
        """Print a line that stays, above the bars where there are any."""
        if self._progress is None:
            tell(line)
            return
        from rich.text import Text

        self._progress.console.print(Text.from_ansi(line), soft_wrap=True)

    def _update(self, host: str, step: str | None, detail: str, done: float | None, total: float | None) -> None:
        if self._progress is None:
            return
        if host not in self._tasks:
            self._tasks[host] = self._progress.add_task("", total=None, host=visible(host), detail="")
        task = self._tasks[host]
        if step is not None:
            self._progress.reset(task, description=step, host=visible(host), detail=detail, total=None)
        else:
            self._progress.update(task, detail=detail, completed=done, total=total)

    def _end(self, host: str) -> None:
        if self._progress is not None and host in self._tasks:
            self._progress.remove_task(self._tasks.pop(host))

    def _say_crate(self, host: str, crate: str, done: int, total: int | None) -> None:
        now = time.monotonic()
        if self._progress is not None or now - self._said_s.get(host, 0.0) < _PLAIN_INTERVAL_S:
            return
        self._said_s[host] = now
        of_total = f"/{total}" if total else ""
        tell(f"  {visible(host)}: building {done}{of_total} {visible(crate, limit=40)}")
