from __future__ import annotations

import json
from typing import Any

import click
import pytest

from sltfleet.core.errors import ConnectError
from sltfleet.core.polling import DONE, IDLE, LOST, RUNNING, STALLED, STOPPED, UNREACHABLE, HostStatus
from sltfleet.report.live import plain_line
from sltfleet.report.status_tables import (
    bad_attempts,
    problem_lines,
    status_json,
    status_table,
    status_title,
    time_left,
    worker_table,
)
from sltfleet.wire.state import FINISHED, STOPPING, State, WorkerState
from tests.support.golden import check_golden
from tests.support.states import RUN_ID, make_state

LATER_RUN_ID = "20261124-000000-00beef"
HOSTILE = "\x1b[2J\x1b]0;pwned\x07\r\n‮evil"

ALPHA = HostStatus("alpha", RUNNING, RUN_ID, make_state())
FLEET = [
    ALPHA,
    HostStatus(
        "rwalters-sandbox-1",
        RUNNING,
        RUN_ID,
        make_state(
            workers=64,
            active=64,
            busy_s=6399.0,
            pass_number=1,
            units_total=620,
            units_covered=311,
            attempts=311,
            failing=(),
            cpu_percent=None,
            elapsed_s=100.0,
            budget_s=160.0,
        ),
    ),
    HostStatus("done", DONE, RUN_ID, make_state(phase=FINISHED, reason="budget", active=0)),
    HostStatus("stopped", STOPPED, RUN_ID, make_state(phase=FINISHED, reason="stopped", active=0)),
    HostStatus("stopping", RUNNING, RUN_ID, make_state(phase=STOPPING, reason="stopped", active=1)),
    HostStatus("lost", LOST, RUN_ID, make_state(active=2)),
    HostStatus("stalled", STALLED, RUN_ID, make_state()),
    HostStatus("away", UNREACHABLE, RUN_ID, make_state(), "cannot connect: timed out"),
    HostStatus("never", UNREACHABLE, problem="cannot connect", error=ConnectError("cannot connect", fix="is it on?")),
    HostStatus("idle", IDLE),
]


def plain(text: str) -> str:
    """The text as it is printed where no colour is wanted."""
    return click.unstyle(text)


class TestTheTable:
    def test_one_host_has_no_line_for_the_fleet(self) -> None:
        check_golden("status/one_host.txt", plain(status_table([ALPHA])))

    def test_every_state_has_its_line_and_the_fleet_one_below(self) -> None:
        check_golden("status/every_state.txt", plain(status_table(FLEET)))

    def test_hosts_that_share_a_queue_cover_the_units_together(self) -> None:
        told = [
            HostStatus("a", RUNNING, RUN_ID, make_state(units_total=20, units_covered=9, fleet_covered=15)),
            HostStatus("b", RUNNING, RUN_ID, make_state(units_total=20, units_covered=8, fleet_covered=16)),
            HostStatus("out of reach", RUNNING, RUN_ID, make_state(units_total=20, units_covered=1)),
        ]
        assert " 16/20 " in plain(status_table(told)).splitlines()[-1]
        assert [host["fleet_covered"] for host in status_json(told)["hosts"]] == [15, 16, None]  # type: ignore[attr-defined]

    def test_hosts_without_a_run_have_dashes(self) -> None:
        idle = [HostStatus("alpha", IDLE), HostStatus("beta", IDLE)]
        check_golden("status/idle.txt", plain(status_table(idle)))

    def test_hosts_at_different_runs_have_their_runs_named_and_no_sum(self) -> None:
        statuses = [*FLEET[:2], HostStatus("other", LOST, LATER_RUN_ID, make_state()), *FLEET[-2:]]
        text = "\n".join([status_table(statuses), *problem_lines(statuses)])
        check_golden("status/different_runs.txt", plain(text))

    def test_a_host_without_a_run_keeps_the_others_from_no_sum(self) -> None:
        assert "fleet" in status_table([*FLEET[:2], HostStatus("idle", IDLE)])

    def test_no_hosts_have_a_table_all_the_same(self) -> None:
        assert "host" in status_table([])

    def test_a_runner_that_is_gone_has_no_active_workers(self) -> None:
        (row,) = plain(status_table([HostStatus("h", LOST, RUN_ID, make_state(active=2))])).splitlines()[2:]
        assert "0/2" in row

    def test_what_a_host_says_is_made_visible(self) -> None:
        state = make_state(phase=HOSTILE, reason=HOSTILE, worker_states=(WorkerState(0, HOSTILE, 1.0, 1, 1.0),))
        status = HostStatus(HOSTILE, RUNNING, RUN_ID, state, HOSTILE)
        for text in (status_table([status, status]), worker_table(status), *problem_lines([status])):
            assert not set(plain(text)) & set("\x1b\x07\r‮")


class TestTheTimeLeft:
    @pytest.mark.parametrize(
        ("status", "expected"),
        [
            (HostStatus("h", RUNNING, RUN_ID, make_state(elapsed_s=10.0, budget_s=70.0)), "1m 00s"),
            (HostStatus("h", RUNNING, RUN_ID, make_state(elapsed_s=99.0, budget_s=70.0)), "0s"),
            (HostStatus("h", RUNNING, RUN_ID, make_state(phase=STOPPING, reason="fail-fast")), "fail-fast"),
            (HostStatus("h", DONE, RUN_ID, make_state(phase=FINISHED, reason="once")), "once"),
            (HostStatus("h", LOST, RUN_ID, make_state()), "-"),
            (HostStatus("h", IDLE), "-"),
        ],
    )
    def test_it_is_a_time_or_why_the_run_ended(self, status: HostStatus, expected: str) -> None:
        assert time_left(status) == expected

    def test_that_of_the_fleet_is_that_of_the_host_that_takes_longest(self) -> None:
        left = [9.0, 600.0, 59.0]  # "9.0s" is the last one by the alphabet
        statuses = [HostStatus("h", RUNNING, RUN_ID, make_state(elapsed_s=0.0, budget_s=budget)) for budget in left]
        assert plain(status_table(statuses)).splitlines()[-1].endswith(" 10m 00s")

    def test_that_of_a_fleet_that_has_ended_is_the_reason_if_it_is_the_same_one(self) -> None:
        once, budget = (HostStatus("h", DONE, RUN_ID, make_state(phase=FINISHED, reason=r)) for r in ("once", "budget"))
        assert plain(status_table([once, once])).splitlines()[-1].endswith(" once")
        assert plain(status_table([once, budget])).splitlines()[-1].endswith(" -")

    def test_the_column_says_ended_by_once_nothing_runs(self) -> None:
        ended = HostStatus("h", DONE, RUN_ID, make_state(phase=FINISHED, reason="budget"))
        assert plain(status_table([ended])).splitlines()[0].endswith(" ended by")
        running = HostStatus("h", RUNNING, RUN_ID, make_state())
        assert plain(status_table([ended, running])).splitlines()[0].endswith(" time left")


class TestTheTitle:
    def test_it_names_the_run_and_the_suite(self) -> None:
        statuses = [HostStatus("h", RUNNING, RUN_ID, make_state(suite="api")), HostStatus("idle", IDLE)]
        assert plain(status_title(statuses)) == f"Run {RUN_ID}: suite api"

    def test_there_is_none_without_a_run_or_with_several(self) -> None:
        assert status_title([HostStatus("idle", IDLE)]) == ""
        several = [HostStatus(run, RUNNING, run, make_state()) for run in (RUN_ID, LATER_RUN_ID)]
        assert status_title(several) == ""


class TestWorkers:
    def test_each_worker_has_its_unit_since_when_and_how_busy_it_was(self) -> None:
        check_golden("status/workers.txt", worker_table(ALPHA))

    def test_at_the_very_start_nobody_was_busy_yet(self) -> None:
        assert " -" in worker_table(HostStatus("h", RUNNING, RUN_ID, make_state(elapsed_s=0.0)))

    def test_without_a_state_there_is_no_table(self) -> None:
        assert worker_table(HostStatus("h", IDLE)) == ""


class TestShares:
    def share(self, total: int, covered: int, **changes: Any) -> State:
        return make_state(units_total=30, units_covered=25, share_total=total, share_covered=covered, **changes)

    def covered(self, *statuses: HostStatus) -> list[str]:
        header, _, *rows = plain(status_table(statuses)).splitlines()
        end = header.index("covered") + len("covered")
        return [row[:end].split()[-1] for row in rows]

    def test_coverage_is_told_of_each_host_s_share_and_of_all_of_them_together(self) -> None:
        alpha = HostStatus("alpha", RUNNING, RUN_ID, self.share(20, 12))
        beta = HostStatus("beta", LOST, RUN_ID, self.share(10, 3))
        assert self.covered(alpha, beta) == ["12/20", "3/10", "15/30"]

    def test_the_share_of_a_host_of_which_nothing_is_known_is_not_covered(self) -> None:
        alpha = HostStatus("alpha", RUNNING, RUN_ID, self.share(20, 20))
        away = HostStatus("away", UNREACHABLE, problem="cannot connect")
        assert self.covered(alpha, away) == ["20/20", "-", "20/30"]

    def test_a_host_that_has_nothing_of_the_first_pass_says_so(self) -> None:
        shares = {"a": (30, 9), "b": (0, 0)}
        statuses = [HostStatus(name, RUNNING, RUN_ID, self.share(*share)) for name, share in shares.items()]
        assert self.covered(*statuses) == ["9/30", "0/0", "9/30"]
        assert ", 0/0 units" in plain_line(statuses[1])


class TestJson:
    def test_its_shape_is_the_documented_one(self) -> None:
        check_golden("status/status.json", json.dumps(status_json([ALPHA, FLEET[-2], FLEET[-1]]), indent=2))

    def test_every_host_has_the_same_keys_whatever_its_state(self) -> None:
        hosts = status_json(FLEET)["hosts"]
        assert isinstance(hosts, list)
        assert len({tuple(host) for host in hosts}) == 1

    def test_the_run_is_the_newest_one(self) -> None:
        later = HostStatus("beta", RUNNING, LATER_RUN_ID, make_state())
        assert status_json([later, ALPHA])["run"] == later.run_id
        assert status_json([FLEET[-1]])["run"] is None


class TestProblems:
    def test_each_is_told_with_its_host_and_what_to_do(self) -> None:
        assert [plain(line) for line in problem_lines(FLEET)] == [
            "lost: the runner is gone and never said goodbye",
            "  next: `sltfleet resume` goes on with the rest of the budget; `sltfleet fetch` brings what was finished; "
            "`sltfleet logs --runner` shows the runner's last words",
            "away: cannot connect: timed out",
            "never: cannot connect",
            "  next: is it on?",
        ]

    def test_bad_attempts_are_those_that_say_something_against_a_test(self) -> None:
        outcomes = {"pass": 9, "fail": 1, "timeout": 2, "crash": 3, "oom": 4, "cut": 5, "infra": 6, "new": 7}
        assert bad_attempts([HostStatus("h", DONE, RUN_ID, make_state(outcomes=outcomes)), FLEET[-1]]) == 10
