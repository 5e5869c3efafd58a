"""report: everything that the tables of one run show, from what was fetched. No host is asked."""

from __future__ import annotations

from collections.abc import Sequence

from sltfleet.app.runs import UNREADABLE_FIX, resolve_run
from sltfleet.core.errors import RunError
from sltfleet.core.paths import LocalPaths
from sltfleet.results.model import RunReport
from sltfleet.results.queries import run_report
from sltfleet.results.store import Store

__all__ = ["RunReport", "gather_report"]


def gather_report(paths: LocalPaths, run_text: str | None = None, only_hosts: Sequence[str] = ()) -> RunReport:
    """Return the report of a fetched run: its id, or the id's beginning or end; None for the newest that was fetched.

    `only_hosts`: of its part there (none: all hosts). Raises RunError where the text names none or several, or nothing
    of the run was fetched.
    """
    with Store.open(paths) as store:
        if run_text is None:
            fetched = store.run_ids()
            newest = fetched[-1] if fetched else resolve_run(paths, None)
            if newest is None:
                raise RunError("no run has been fetched yet", fix="`sltfleet fetch`")
            run_id = newest
        else:
            run_id = resolve_run(paths, run_text) or run_text
        # What lies there and is not imported yet: a fetch that was interrupted, or journals that a person put there.
        imported = store.import_run(paths, run_id)
        if imported and not any(found.readable for found in imported.values()):
            raise RunError(
                f"run {run_id} cannot be read",
                "; ".join(sorted({found.damage for found in imported.values()})),
                UNREADABLE_FIX,
            )
        return run_report(store, run_id, only_hosts)
