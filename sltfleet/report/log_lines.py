"""One journal event as one line for `sltfleet logs`."""

from __future__ import annotations

from sltfleet.core.duration import format_duration
from sltfleet.report.sanitize import visible, visible_name
from sltfleet.report.terminal import BAD, DIM, GOOD, WARN, style
from sltfleet.wire import outcome
from sltfleet.wire.events import AttemptFinished, Event, Note, PassFinished, RunFinished, RunResumed, RunStarted

_COLOURS = {outcome.PASS: GOOD, outcome.CUT: DIM, outcome.SKIP: DIM, outcome.INFRA: WARN}


def log_line(host: str, event: Event | None, text: str, *, only_bad: bool) -> str | None:
    """Return the line of an event, or of a line of the runner's own log; None for what is not worth one.

    With `only_bad`, only attempts that did not pass have a line.
    """
    place = style(visible(host), DIM)
    if event is None:
        return f"{place} {visible(text)}"
    if isinstance(event, AttemptFinished):
        if only_bad and event.outcome not in outcome.BAD:
            return None
        return f"{place} {_attempt(event)}"
    said = None if only_bad else _other(event)
    return None if said is None else f"{place} {style(said, DIM)}"


def _attempt(event: AttemptFinished) -> str:
    word = style(f"{visible(event.outcome, limit=7):>7}", _COLOURS.get(event.outcome, BAD))
    message = event.message or (event.failed[0].message if event.failed else "")
    total = len(event.failed) + len(event.passed)
    cases = f" ({len(event.failed)} of {total} cases)" if event.failed and total > 1 else ""
    reason = f": {visible(message, limit=160)}" if message else ""
    left = f"; {event.survivors} of its processes outlived it, and were ended" if event.survivors else ""
    return (
        f"{word} {format_duration(event.duration_s):>8}  pass {event.pass_number}  worker {event.worker}  "
        f"{visible_name(event.unit)}{cases}{reason}{left}"
    )


def _other(event: Event) -> str | None:
    if isinstance(event, RunStarted):
        size = f"{len(event.units)} units, {event.workers} workers, {format_duration(event.budget_s)}"
        return f"run {visible(event.run_id, limit=40)}: {size}"
    if isinstance(event, RunResumed):
        return f"run resumed after {format_duration(event.t)}"
    if isinstance(event, PassFinished):
        return f"pass {event.pass_number} complete after {format_duration(event.t)}"
    if isinstance(event, RunFinished):
        reason = visible(event.reason, limit=40)
        return f"run ended ({reason}): {event.attempts} attempts, {event.covered} units covered"
    if isinstance(event, Note):
        return visible(event.text)
    return None
