"""What became of the runs: fetched journals, and the database that is made from them.

- `journal`: reads a journal file that a hostile or broken host may have written.
- `database`: the SQLite file, its tables and its version.
- `store`: importing journals into it; `rows`: one event's rows.
- `queries`: outcomes, failing cases, flaky units, slowest units, utilization.
- `causes`: failures by their signature; `attempts`: single attempts, for `repro` and what is flaky.
- `shared`: what the queue counted of a run whose hosts shared one.
- `history`: what earlier runs know of a unit, for the next run's schedule; `speeds`: how fast the hosts are.
- `folder`: where all of it lies; `fetched`: checks what came from a host.
- `model`: the values that the queries return and the reports show.
"""
