"""compare: the reports of several fetched runs, to be set side by side. No host is asked."""

from __future__ import annotations

from collections.abc import Sequence

from sltfleet.app.report import RunReport, gather_report
from sltfleet.core.errors import RunError, UsageError
from sltfleet.core.paths import LocalPaths
from sltfleet.results.store import Store


def gather_comparison(
    paths: LocalPaths, run_texts: Sequence[str], only_hosts: Sequence[str] = ()
) -> tuple[RunReport, ...]:
    """Return the reports of the runs, in the order in which they are named; the two newest where none is.

    `only_hosts`: of their parts there (none: all hosts).

    Raises UsageError for fewer than two, RunError where one, or none at all, was fetched.
    """
    if not run_texts:
        with Store.open(paths) as store:
            run_texts = store.run_ids()[-2:]
        if not run_texts:
            raise RunError("no run has been fetched yet", fix="`sltfleet fetch`")
    if len(run_texts) < 2:
        raise UsageError("one run alone cannot be compared", fix="name two or more: `sltfleet compare RUN RUN`")
    return tuple(gather_report(paths, text, only_hosts) for text in run_texts)
