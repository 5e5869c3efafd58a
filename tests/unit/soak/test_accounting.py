"""What must hold between the units' own log and the journals: each check finds the flaw that it is for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from soak_test.accounting import (
    ATTEMPTS_KILLED,
    BURIED,
    FROZEN,
    FULL,
    KILLED,
    TORN,
    Excused,
    Story,
    allowed_outcomes,
    check_occupancy,
    check_story,
    seen_busy_s,
    stories,
)
from soak_test.ledger import Line

from tests.unit.soak.books import HOST, RUN, ZERO_S, attempt, harm, head, journal, story, tail


def found(told: Story) -> set[str]:
    """The names of the checks that find something."""
    return {discrepancy.check for discrepancy in check_story(told, Excused())}


def with_lines(told: Story, *lines: Line, torn: str = "") -> Story:
    """The story with another journal."""
    return replace(told, journal=journal(*lines, torn=torn))


def changed(told: Story, index: int, **keys: object) -> Story:
    """The story with keys of one journal line changed."""
    lines = list(told.journal.lines)
    lines[index] = {**lines[index], **keys}
    return with_lines(told, *lines)


def test_a_story_without_a_flaw_has_no_discrepancy() -> None:
    assert check_story(story(), Excused()) == []


# --- journals --------------------------------------------------------------------------------------------------------


def test_attempts_without_any_journal_are_told() -> None:
    assert found(with_lines(story())) >= {"journal-there"}


def test_a_runner_that_was_killed_at_once_may_have_written_nothing() -> None:
    told = with_lines(replace(story(), seen=(), harms=(harm(KILLED, 5.1),)))
    assert found(told) == set()


def test_a_line_that_is_no_event_is_told() -> None:
    told = story()
    assert found(replace(told, journal=journal(*told.journal.lines, bad=("nonsense",)))) == {"journal-whole"}


def test_a_second_beginning_is_told() -> None:
    told = story()
    assert found(with_lines(told, head(), *told.journal.lines)) == {"journal-whole"}


def test_a_torn_end_needs_a_fault_that_tears() -> None:
    told = story()
    assert found(with_lines(told, *told.journal.lines, torn="{")) == {"journal-whole"}
    torn = replace(told, harms=(harm(TORN, 11.0),))
    assert found(with_lines(torn, *told.journal.lines, torn="{")) == set()


@pytest.mark.parametrize("index", [1, 2])
def test_an_attempt_that_starts_or_ends_twice_is_told(index: int) -> None:
    told = story()
    assert found(with_lines(told, *told.journal.lines, told.journal.lines[index])) == {"counted-once"}


# --- starts ----------------------------------------------------------------------------------------------------------


def test_an_attempt_that_was_seen_and_is_in_no_journal_is_told() -> None:
    told = story()
    lost, *_ = attempt(9, start_s=5.0)
    assert found(replace(told, seen=(*told.seen, lost))) == {"seen-is-journaled"}


def test_an_attempt_that_was_seen_just_before_its_runner_was_killed_is_explained_and_counted() -> None:
    lost, *_ = attempt(9, start_s=5.0)
    told = story(3, harm(KILLED, 5.1))
    excused = Excused()
    assert check_story(replace(told, seen=(*told.seen, lost)), excused) == []
    assert excused.counts["started, and lost with its killed runner"] == 1


def test_an_attempt_that_was_seen_long_before_its_runner_was_killed_is_told() -> None:
    lost, *_ = attempt(9, start_s=5.0)
    told = story(3, harm(KILLED, 19.0))
    assert found(replace(told, seen=(*told.seen, lost))) == {"seen-is-journaled"}


def test_a_killed_runner_explains_no_more_than_one_turn() -> None:
    told = story(3, harm(KILLED, 5.1))
    lost = [attempt(number, start_s=5.0)[0] for number in range(10, 40)]
    assert "seen-is-journaled" in found(replace(told, seen=(*told.seen, *lost)))


def test_an_attempt_that_was_seen_twice_is_told() -> None:
    told = story()
    assert "counted-once" in found(replace(told, seen=(*told.seen, told.seen[0])))


@pytest.mark.parametrize(
    ("keys", "check"),
    [({"pid": 1}, "seen-is-journaled"), ({"worker": 5}, "same-attempt"), ({"unit": "fail-0.02"}, "same-attempt")],
)
def test_an_attempt_whose_journal_names_another_process_unit_or_worker_is_told(
    keys: dict[str, object], check: str
) -> None:
    assert check in found(changed(story(), 1, **keys))


def test_a_run_that_was_resumed_gives_the_numbers_of_lost_attempts_again() -> None:
    told = story(3, harm(KILLED, 0.62))
    lost = replace(told.seen[2], pid=77, start_s=ZERO_S + 0.6, end_s=None, code=None)
    assert found(replace(told, seen=(*told.seen, lost))) == set()


def test_an_attempt_that_was_lost_and_buried_needs_a_killed_runner() -> None:
    told = changed(story(), 2, outcome="cut", message=BURIED, duration_s=0.0, t=0.2)
    assert found(told) == {"start-and-end"}
    assert found(replace(told, harms=(harm(KILLED, 0.3),))) == set()


# --- ends ------------------------------------------------------------------------------------------------------------


def test_an_end_without_a_start_is_told() -> None:
    told = story()
    assert "start-and-end" in found(
        with_lines(told, *(line for line in told.journal.lines[:1] + told.journal.lines[2:]))
    )


def test_an_attempt_that_could_not_be_started_needs_a_full_disk() -> None:
    _, _, infra = attempt(9, outcome="infra", message="No space left on device")
    told = story()
    assert found(with_lines(told, *told.journal.lines[:-1], infra, tail())) == {"start-and-end"}
    full = replace(told, harms=(harm(FULL, 1.0, 2.0),))
    assert found(with_lines(full, *told.journal.lines[:-1], infra, tail())) == set()


def test_a_finished_attempt_that_nobody_saw_is_told_unless_it_was_ended_from_outside() -> None:
    told = story()
    assert found(replace(told, seen=told.seen[1:])) == {"finished-was-seen"}
    assert found(changed(replace(told, seen=told.seen[1:]), 2, outcome="cut")) == set()
    killed = replace(told, harms=(harm(ATTEMPTS_KILLED, 0.3, 0.3, 4001),))
    assert found(changed(replace(killed, seen=told.seen[1:]), 2, outcome="crash")) == set()


@pytest.mark.parametrize("duration_s", [0.05, 19.0])
def test_a_duration_that_the_units_own_clock_does_not_confirm_is_told(duration_s: float) -> None:
    told = story(1)
    assert "same-duration" in found(changed(told, 2, duration_s=duration_s, t=0.2 + duration_s))


def test_a_frozen_runner_explains_how_much_later_it_took_note() -> None:
    late = changed(story(1, harm(FROZEN, 0.25, 15.25)), 2, duration_s=15.1, t=15.3)
    assert "same-duration" not in found(late)


def test_durations_that_are_a_little_too_long_all_of_them_are_told() -> None:
    told = story(30)
    lines = [
        {**line, "duration_s": 1.9, "t": line["t"] + 1.78} if line["kind"] == "attempt-finished" else line
        for line in told.journal.lines
    ]
    assert found(with_lines(told, *lines)) == {"same-duration"}


def test_an_attempt_without_an_end_needs_a_killed_runner() -> None:
    told = story()
    lines = [*told.journal.lines[:-2], tail()]
    assert found(with_lines(told, *lines)) == {"start-and-end"}
    killed = replace(told, harms=(harm(KILLED, 0.7),))
    assert found(with_lines(killed, *told.journal.lines[:-2])) == set()


def test_a_run_without_an_end_needs_a_killed_runner() -> None:
    told = story()
    assert found(with_lines(told, *told.journal.lines[:-1])) == {"run-ended"}


# --- verdicts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "duration_s", "run_ended", "was_killed", "allowed"),
    [
        (0, 0.12, False, False, {"pass"}),
        (1, 0.12, False, False, {"fail"}),
        (-11, 0.12, False, False, {"crash"}),
        (None, 0.12, False, False, {"cut"}),
        (None, 2.1, False, False, {"cut", "timeout"}),
        (0, 0.12, True, False, {"pass", "cut"}),
        (0, 0.12, False, True, {"pass", "crash"}),
    ],
)
def test_an_outcome_is_what_the_unit_said_or_what_ended_it(
    code: int | None, duration_s: float, run_ended: bool, was_killed: bool, allowed: set[str]
) -> None:
    seen, _, end = attempt(1)
    line = {**end, "duration_s": duration_s}
    found = allowed_outcomes(replace(seen, code=code), line, was_killed=was_killed, run_ended=run_ended)
    assert found == allowed


def test_a_passing_unit_that_is_said_to_have_failed_is_told() -> None:
    assert found(changed(story(), 2, outcome="fail")) == {"verdict"}


def test_a_daemon_that_was_not_found_is_told() -> None:
    seen, start, end = attempt(1, "daemon-0.05")
    told = Story(journal(head(), start, end, tail()), (seen,), ())
    assert found(told) == {"verdict"}
    assert found(changed(told, 2, survivors=1)) == set()


def test_attempts_that_see_two_versions_of_the_repo_are_told() -> None:
    told = story()
    assert found(replace(told, seen=(*told.seen[:2], replace(told.seen[2], version="2")))) == {"one-tree"}


def test_a_worker_that_runs_two_attempts_at_a_time_is_told() -> None:
    told = story()
    late = replace(told.seen[0], end_s=told.seen[1].start_s + 0.1)
    assert "one-at-a-time" in found(replace(told, seen=(late, *told.seen[1:])))


# --- occupancy -------------------------------------------------------------------------------------------------------


def test_an_occupancy_that_the_units_do_not_confirm_is_told() -> None:
    told = story(30)
    busy = seen_busy_s(told) / 10.0
    assert list(check_occupancy(told, busy + 0.06)) == []  # thirty shells of 0.02 s in ten seconds
    assert [one.check for one in check_occupancy(told, busy + 0.5)] == ["occupancy"]
    assert [one.check for one in check_occupancy(told, busy - 0.1)] == ["occupancy"]


def test_nothing_is_said_of_the_occupancy_of_a_run_that_was_harmed() -> None:
    assert list(check_occupancy(story(3, harm(FROZEN, 1.0, 3.0)), 1.0)) == []


# --- stories ---------------------------------------------------------------------------------------------------------


def test_attempts_and_harm_come_to_the_journal_of_their_run_and_host() -> None:
    told = story(2, harm(KILLED, 5.0))
    elsewhere = replace(told.seen[0], host="beta")
    made = stories([*told.seen, elsewhere], [told.journal], told.harms)
    assert [(one.journal.run, one.journal.host, len(one.seen), len(one.harms)) for one in made] == [
        (RUN, HOST, 2, 1),
        (RUN, "beta", 1, 0),
    ]
    assert made[1].journal.lines == ()
    assert told.harms[0].start_s > ZERO_S
