"""What is behind a run is told by its journal alone: a simulated run is cut anywhere, replayed and gone on with."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sltfleet.core.timeline import timeline_of
from sltfleet.core.utilization import utilization
from sltfleet.runner.dispatch import Dispatcher
from sltfleet.runner.knowledge import Knowledge
from sltfleet.runner.messages import Begin, Spawn
from sltfleet.runner.passes import Progress, seed_of_pass
from sltfleet.runner.paths import RunPaths
from sltfleet.runner.phases import Config
from sltfleet.runner.recovery import RecoveryError, recover
from sltfleet.runner.replay import LOST, Past, Replay, kept_units
from sltfleet.runner.run import make_dispatcher
from sltfleet.runner.schedule import START_TRIES, PassScheduler
from sltfleet.runner.shards import shard_of
from sltfleet.runner.units import Unit
from sltfleet.wire import events as wire
from sltfleet.wire.codec import to_text
from sltfleet.wire.events import event_to_line
from sltfleet.wire.share import Member, Share
from sltfleet.wire.spec import Limits, UnitHistory
from sltfleet.wire.state import Identity
from tests.support.journals import RUN_ID, JournalBuilder
from tests.support.specs import SPEC as PLAIN
from tests.support.states import make_state
from tests.support.world import SUITES, Behaviour, World

BUDGET_S = 6.0
LIMITS = Limits(timeout_s=2.0, retry_weight=1, quarantine_after=99)
SPEC = replace(PLAIN, run_id=RUN_ID, history={"a.test": UnitHistory(rank=0, expected_s=5.0)})


def replayed(
    events: list[wire.Event], known_s: float = 0.0, *, shard: tuple[str, ...] | None = None, queued: bool = False
) -> Past:
    started = events[0]
    assert isinstance(started, wire.RunStarted)
    replay = Replay(started, Knowledge(limits=LIMITS), shard, queued=queued)
    for event in events[1:]:
        replay.add(event)
    return replay.past(known_s)


def opening(units: dict[str, Behaviour], workers: int) -> wire.RunStarted:
    built = JournalBuilder(workers=workers, budget_s=BUDGET_S, units=tuple(sorted(units))).events[0]
    assert isinstance(built, wire.RunStarted)
    return built


def world(units: dict[str, Behaviour], workers: int, passes: int | None, past: Past | None = None) -> World:
    knowledge = past.knowledge if past else Knowledge(limits=LIMITS)
    config = Config(workers, len(units), BUDGET_S, 0.5)
    progress = past.progress if past else Progress()
    dispatcher = Dispatcher(config, PassScheduler(sorted(units), 1, knowledge, passes, progress=progress), knowledge)
    if past:
        dispatcher.go_on(past.attempts, past.slots, past.tally)
    return World(dispatcher, units, now=past.elapsed_s if past else 0.0)


@given(SUITES, st.integers(1, 4), st.none() | st.integers(1, 2), st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=200)
def test_a_run_that_was_lost_twice_anywhere_accounts_for_every_attempt_once(
    units: dict[str, Behaviour], workers: int, passes: int | None, first: float, second: float
) -> None:
    journal: list[wire.Event] = [opening(units, workers)]
    journal += world(units, workers, passes).run()[:-1]
    for part in (first, second):
        before = journal[: 1 + int(part * (len(journal) - 1))]
        past = replayed(before)
        after = world(units, workers, passes, past).run()
        resumed = wire.RunResumed(past.elapsed_s, 1.0, Identity("boot", 1, 1))
        journal = [*before, resumed, *past.lost, *past.passes_over, *after]
    ended = Counter(event.attempt for event in journal if isinstance(event, wire.AttemptFinished))
    assert set(ended.values()) <= {1}
    assert {event.attempt for event in journal if isinstance(event, wire.AttemptStarted)} <= set(ended)
    assert [event.t for event in journal] == sorted(event.t for event in journal)
    last = journal[-1]
    assert isinstance(last, wire.RunFinished)
    assert last.attempts == len(ended)
    found = utilization(timeline_of(journal))
    assert found.problems == ()
    assert (found.attempts, found.units_covered) == (last.attempts, last.covered)
    left = {event.worker: event for event in journal if isinstance(event, wire.WorkerStopped)}
    for worker in found.per_worker:
        told = left[worker.worker]
        assert worker.lifetime_s == pytest.approx(told.lifetime_s)
        assert worker.busy_s <= worker.lifetime_s + 1e-9
        assert worker.attempts == told.attempts
    if passes:
        verdicts = Counter(
            (event.pass_number, event.unit)
            for event in journal
            if isinstance(event, wire.AttemptFinished) and event.outcome not in ("cut", "infra")
        )
        assert set(verdicts.values()) <= {1}, "a unit that was over in its pass came again"


def test_what_was_learned_counted_and_covered_goes_on() -> None:
    built = JournalBuilder(workers=2, units=("a.test", "b.test", "c.test"))
    built.attempt(0, "a.test", 0, 10).attempt(1, "b.test", 0, 4, "fail", message="boom").sample(10)
    running = built.start(1, "c.test", 4)
    past = replayed(built.events, known_s=12.5)
    assert (past.elapsed_s, past.attempts, past.runner_cpu_s) == (12.5, 3, 0.1)
    assert [(event.attempt, event.outcome, event.duration_s, event.message) for event in past.lost] == [
        (running, "cut", 8.5, LOST)
    ]
    assert (past.tally.attempts, past.tally.covered, past.tally.failing) == (3, 2, ("b.test",))
    assert past.tally.outcomes == {"pass": 1, "fail": 1, "cut": 1}
    assert [(slot.attempts, slot.busy_s) for slot in past.slots] == [(1, 10), (2, 12.5)]
    assert past.knowledge.expected_s("a.test") == 10
    assert past.knowledge.suspects(["a.test", "b.test"]) == ["b.test"]
    assert past.progress.over == {1: {"a.test", "b.test"}}


def test_of_tests_that_shared_a_lost_process_the_first_stands_for_its_time() -> None:
    built = JournalBuilder(workers=1, units=("a.test", "b.test", "c.test")).attempt(0, "a.test", 0, 3)
    built.start(0, "b.test", 3)
    built.start(0, "c.test", 3)
    past = replayed(built.events, known_s=7.0)
    assert [(event.unit, event.outcome, event.duration_s) for event in past.lost] == [
        ("b.test", "cut", 4),
        ("c.test", "cut", 0),
    ]
    assert [(slot.attempts, slot.busy_s) for slot in past.slots] == [(3, 7)]
    assert utilization(timeline_of([*built.events, *past.lost])).problems == ()


def test_passes_that_are_complete_are_behind_and_the_others_under_way() -> None:
    built = JournalBuilder(workers=1).attempt(0, "a.test", 0, 1).attempt(0, "b.test", 1, 2).pass_end(1, 2)
    built.attempt(0, "b.test", 2, 3, pass_number=2)
    built.start(0, "a.test", 3, pass_number=3)
    progress = replayed(built.events).progress
    assert (progress.newest, progress.complete, progress.over) == (3, {1}, {2: {"b.test"}, 3: set()})


@pytest.mark.parametrize(("shard", "units"), [(None, 2), (("a.test",), 1)])
def test_a_pass_whose_end_was_not_written_down_is_complete(shard: tuple[str, ...] | None, units: int) -> None:
    built = JournalBuilder(workers=1).attempt(0, "a.test", 0, 1)
    if shard is None:
        built.attempt(0, "b.test", 1, 2)
    last_s = built.events[-1].t
    built.start(0, "a.test", last_s, pass_number=2)
    past = replayed(built.events, shard=shard)
    assert past.passes_over == (wire.PassFinished(last_s, 1, units),)
    assert (past.progress.complete, past.progress.over) == ({1}, {2: set()})
    told = replayed(built.pass_end(1, last_s).events, shard=shard)
    assert (told.passes_over, told.progress) == ((), past.progress)
    assert replayed(built.events[:4], shard=("a.test", "b.test")).passes_over == ()


def test_of_a_shared_queue_only_its_own_passes_are_behind_and_it_alone_says_what_is_complete() -> None:
    second = seed_of_pass(7, 2)
    built = JournalBuilder(workers=1).attempt(0, "a.test", 0, 1).attempt(0, "b.test", 1, 2).counted(1)
    built.attempt(0, "b.test", 2, 3, pass_number=2, seed=second)
    built.attempt(0, "a.test", 3, 4, pass_number=3, seed=seed_of_pass(7, 3, "alpha"))  # out of reach
    past = replayed(built.events, queued=True)
    assert past.passes_over == ()
    assert past.progress == Progress(
        2, frozenset(), {1: {"a.test", "b.test"}, 2: {"b.test"}}, ((1, "b.test", 2), (2, "b.test", 3))
    )
    progress = replayed(built.pass_end(1, 4).pass_end(5, 4).events, queued=True).progress
    assert progress == Progress(5, frozenset({1, 5}), {2: {"b.test"}}, ((2, "b.test", 3),))
    assert past.tally.attempts == 4


def test_a_unit_that_made_room_or_could_not_be_started_comes_again_in_its_pass() -> None:
    built = JournalBuilder(workers=1).attempt(0, "a.test", 0, 1, "cut")
    for _ in range(START_TRIES - 1):
        built.attempt(0, "b.test", 1, 1, "infra")
    assert replayed(built.events).progress.over == {1: set()}
    assert replayed(built.attempt(0, "b.test", 1, 1, "infra").events).progress.over == {1: {"b.test"}}


@pytest.mark.parametrize(("reason", "told"), [("budget", "budget"), ("fail-fast", "fail-fast"), ("stopped", None)])
def test_a_run_that_came_to_its_own_end_is_over_and_one_that_was_stopped_is_not(reason: str, told: str | None) -> None:
    events = JournalBuilder(workers=1).attempt(0, "a.test", 0, 1).finish(1, reason).events
    assert isinstance(events[0], wire.RunStarted)
    replay = Replay(events[0], Knowledge())
    for event in events[1:]:
        replay.add(event)
    assert replay.reason == told
    replay.add(wire.RunResumed(1.0, 1.0, Identity("boot", 1, 1)))
    assert replay.reason is None


def test_units_that_tests_made_since_are_not_the_run_s_and_lost_ones_are_named() -> None:
    past = replayed(JournalBuilder(units=("a.test", "b.test")).events)
    assert kept_units(past, ["a.test", "made by a test"]) == (
        {"a.test"},
        ("1 units of the run are not in its tree any more, b.test for one",),
    )


class TestFolder:
    """What a lost runner leaves in the run's folder."""

    @pytest.fixture
    def paths(self, odd_path: Path) -> RunPaths:
        return RunPaths(str(odd_path))

    def put(self, paths: RunPaths, data: bytes) -> None:
        Path(paths.journal).write_bytes(data)

    def test_a_last_line_torn_at_any_byte_is_taken_off_and_told(self, paths: RunPaths) -> None:
        built = JournalBuilder(workers=1).attempt(0, "a.test", 0, 1)
        whole, last = built.data, event_to_line(wire.Note(2.0, 'é \\ "'))
        for size in range(1, len(last)):
            self.put(paths, whole + last[:size])
            past, notes = recover(paths, SPEC)
            assert Path(paths.journal).read_bytes() == whole
            assert past.attempts == 1
            assert f"torn line of {size} bytes" in notes[0]
        self.put(paths, whole + bytes(100_000))
        assert "100000 bytes" in recover(paths, SPEC)[1][0]
        assert recover(paths, SPEC)[1] == ()

    def test_a_line_that_cannot_be_read_in_the_middle_is_refused_and_nothing_changed(self, paths: RunPaths) -> None:
        built = JournalBuilder(workers=1).attempt(0, "a.test", 0, 1)
        lines = built.data.splitlines(keepends=True)
        damaged = b"".join([*lines[:2], b"\0" * 20 + b"\n", *lines[2:], b"torn"])
        self.put(paths, damaged)
        with pytest.raises(RecoveryError, match=f"cannot be read beyond byte {len(b''.join(lines[:2]))}: "):
            recover(paths, SPEC)
        assert Path(paths.journal).read_bytes() == damaged

    @pytest.mark.parametrize(
        ("data", "words"),
        [
            (b"", "is empty"),
            (b'{"kind":"run-sta', "is empty"),
            (JournalBuilder().data.split(b"\n", 1)[1], "begins with worker-started"),
            (JournalBuilder().finish(3).data, r"come to its end \(budget\)"),
        ],
    )
    def test_a_journal_that_is_none_or_has_an_end_is_refused(self, paths: RunPaths, data: bytes, words: str) -> None:
        self.put(paths, data)
        with pytest.raises(RecoveryError, match=words):
            recover(paths, SPEC)

    def test_the_clock_goes_on_from_the_last_time_known_to_journal_or_state(self, paths: RunPaths) -> None:
        self.put(paths, JournalBuilder(workers=1).attempt(0, "a.test", 0, 7).data)
        state = make_state(run_id=RUN_ID, elapsed_s=7.5)
        for text, elapsed_s in (
            (to_text(state), 7.5),
            (to_text(replace(state, elapsed_s=3.0)), 7.0),
            (to_text(replace(state, run_id="another")), 7.0),
            ("{", 7.0),
        ):
            Path(paths.state).write_text(text)
            assert recover(paths, SPEC)[0].elapsed_s == elapsed_s

    def test_what_earlier_runs_know_is_known_and_old_outputs_are_gone(self, paths: RunPaths) -> None:
        self.put(paths, JournalBuilder().data)
        Path(paths.slots).mkdir()
        (Path(paths.slots) / "0.1.out").write_text("half an output")
        past, _notes = recover(paths, SPEC)
        assert past.knowledge.expected_s("a.test") == 5.0
        assert list(Path(paths.slots).iterdir()) == []

    def test_a_host_of_several_goes_on_with_its_own_share_of_the_first_pass(self, paths: RunPaths) -> None:
        units = tuple(f"{letter}.test" for letter in "abcdef")
        built = JournalBuilder(workers=1, units=units)
        started = built.events[0]
        assert isinstance(started, wire.RunStarted)
        built.events[0] = replace(started, members=2, share_units=3)
        share = Share("alpha", (Member("alpha", 1), Member("beta", 1)))
        own = shard_of(units, share, SPEC.history, SPEC.limits)
        self.put(paths, built.attempt(0, own[0], 0, 1).data)
        past, _notes = recover(paths, SPEC, share)
        assert (past.tally.share_total, past.tally.share_covered) == (len(own), 1)
        there = [Unit(unit, {}) for unit in units if unit != own[1]]  # a test has deleted one of its own units
        dispatcher = make_dispatcher(SPEC, there, 0, share, past)
        started_next = [action.attempt.unit for action in dispatcher.handle(Begin(), 1.0) if isinstance(action, Spawn)]
        assert started_next == [own[2]]
