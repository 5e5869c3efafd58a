"""The journal of a real runner, through the database to the tables: its numbers are those that the tests saw."""

from __future__ import annotations

import click
import pytest

from sltfleet.app.report import gather_report
from sltfleet.core.paths import LocalPaths
from sltfleet.core.timeline import timeline_of
from sltfleet.core.utilization import utilization
from sltfleet.report.results_tables import run_tables
from tests.contract.runner_host import UNITS, RunnerHost, finished
from tests.support.journals import RUN_ID

#: Each attempt writes its own start and end, in seconds since the epoch. One unit fails, one passes, one does both.
OBSERVER = """
start=$(date +%s.%N)
sleep 0.2
echo "$start $(date +%s.%N) $WORKER $ATTEMPT" >>"$LOG"
case $UNIT in
  a.test) exit 1 ;;
  *c*) [ $((PASS % 2)) = 0 ] ;;
esac
"""


@pytest.mark.parametrize("once", [False, True])
def test_the_tables_of_a_real_run_agree_with_an_observer(host: RunnerHost, once: bool) -> None:
    spec = host.spec(
        OBSERVER,
        run_id=RUN_ID,
        workers=4,
        budget_s=6.0,
        once=once,
        env={
            "LOG": str(host.log),
            "UNIT": "{unit}",
            "WORKER": "{worker}",
            "PASS": "{pass}",
            "ATTEMPT": "{attempt}",
        },
    )
    events = host.run(spec)
    paths = LocalPaths(host.root)
    target = paths.host(RUN_ID, "h") / "journal.jsonl"
    target.parent.mkdir(parents=True)
    target.write_bytes((host.run_dir(spec) / "journal.jsonl").read_bytes())
    report = gather_report(paths)

    (run,) = report.hosts
    assert run.utilization == utilization(timeline_of(events))
    assert (run.utilization.problems, run.damage, run.unfinished, run.utilization.basis) == ((), "", 0, "budget")
    spans = [line.split() for line in host.log_lines()]
    seen_busy_s = sum(float(end) - float(start) for start, end, *_ in spans)
    # What was cut at the end has no line.
    assert seen_busy_s <= run.utilization.busy_s + 0.1
    # Starting a shell and ending it is busy time that the observer cannot see, and a loaded machine makes much of it:
    # the least of it is what the runner itself takes of an attempt.
    seen_s = {int(attempt): float(end) - float(start) for start, end, _, attempt in spans}
    more_s = [event.duration_s - seen_s[event.attempt] for event in finished(events) if event.attempt in seen_s]
    assert -0.05 < min(more_s) < 0.15
    assert run.utilization.busy_s == pytest.approx(sum(event.duration_s for event in finished(events)), abs=0.1)
    assert run.utilization.verdicts == len(spans)
    assert {worker.worker for worker in run.utilization.per_worker if worker.attempts} == {
        int(worker) for _, _, worker, _ in spans
    }
    assert (run.utilization.units_covered, run.utilization.units_total) == (3, len(UNITS))
    if once:
        assert report.summary.occupancy < 0.5
        assert report.flaky == ()
    else:
        assert report.summary.occupancy > 0.8
        assert [found.name for found in report.flaky] == ["sub dir/c$x.test"]
    assert report.failing[0].case == "a.test"
    assert "a.test" in click.unstyle(run_tables(report))
