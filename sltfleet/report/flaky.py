"""What is flaky, as a table, and for each the circumstances of a failure with the line that runs it again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from sltfleet.core.shell import join
from sltfleet.report.sanitize import visible, visible_name
from sltfleet.report.tables import MAX_ROWS, MESSAGE_WIDTH, NAME_WIDTH, hosts_text, table
from sltfleet.report.terminal import WARN, style
from sltfleet.report.text import duration, of, percent
from sltfleet.results.model import Flaky, FlakyFailure

#: Of what ran beside an attempt so many are named.
MAX_NEIGHBOURS = 6
#: And so many seeds: enough to choose from.
MAX_SEEDS = 3


def flaky_table(flaky: Sequence[Flaky]) -> str:
    """Return what both passed and failed; "" where nothing did."""
    rows = [
        (
            visible_name(found.name, limit=NAME_WIDTH),
            found.kind,
            style(of(found.failed, found.failed + found.passed), WARN),
            percent(found.failure_rate),
            hosts_text(found.hosts),
            visible(found.message, limit=MESSAGE_WIDTH),
        )
        for found in flaky[:MAX_ROWS]
    ]
    return table(rows, ("name", "kind", "failed", "rate", "failed on", "message"), text_columns=(0, 1, 4, 5))


def flaky_lines(flaky: Iterable[Flaky]) -> Iterator[str]:
    """Yield for each that has its circumstances: seeds, the first failing attempt, and how to run that again."""
    for found in flaky:
        if not found.failures:
            continue
        first = found.failures[0]
        yield style(visible_name(found.name, limit=2 * NAME_WIDTH), bold=True)
        passed = f", passed with {_seeds(found.passed_seeds)}" if found.passed_seeds else ""
        yield f"  failed with {_seeds(found.failed_seeds)}{passed}"
        yield f"  {_place(first)}; beside it: {_beside(first.neighbours)}"
        yield f"  again: {visible(repro_line(first, found.name))}"


def repro_line(failure: FlakyFailure, name: str) -> str:
    """Return the command that runs the failing attempt again."""
    return join(["sltfleet", "repro", failure.run_id, name, "--host", failure.host])


def _place(failure: FlakyFailure) -> str:
    return (
        f"attempt {failure.attempt} ({failure.outcome}) on {visible(failure.host)}, worker {failure.worker}, "
        f"pass {failure.pass_number}, at {duration(failure.start_s)} for {duration(failure.end_s - failure.start_s)}"
    )


def _beside(neighbours: Sequence[str]) -> str:
    shown = ", ".join(visible_name(name, limit=NAME_WIDTH) for name in neighbours[:MAX_NEIGHBOURS])
    left_out = len(neighbours) - MAX_NEIGHBOURS
    return f"{shown} and {left_out} more" if left_out > 0 else shown or "nothing"


def _seeds(seeds: Sequence[int]) -> str:
    more = ", …" if len(seeds) > MAX_SEEDS else ""
    return ("seed " if len(seeds) == 1 else "seeds ") + ", ".join(map(str, seeds[:MAX_SEEDS])) + more
