from __future__ import annotations

import multiprocessing
import sqlite3
from pathlib import Path

import pytest

from sltfleet.core.errors import RunError
from sltfleet.core.paths import LocalPaths
from sltfleet.core.timeline import timeline_of
from sltfleet.results import database, journal
from sltfleet.results.queries import run_report, timeline
from sltfleet.results.store import Store
from sltfleet.wire.events import AttemptFinished
from tests.support.journals import LATER_RUN_ID, RUN_ID, JournalBuilder


def busy_journal() -> JournalBuilder:
    journal = JournalBuilder(workers=2)
    journal.attempt(0, "a.test", 0, 10, cpu_s=3).attempt(
        1, "b.test", 0, 20, "fail", message="boom", output="artifacts/2"
    )
    journal.sample(10, 80).pass_end(1, 20)
    journal.attempt(1, "a.test", 20, 30, passed=("a.test", "extra"), pass_number=2)
    journal.attempt(0, "b.test", 10, 35, "cut", pass_number=2)
    return journal.sample(30, 20).leave(0, 35).leave(1, 35).finish(35)


def dump(store: Store) -> list[str]:
    return list(store.connection.iterdump())


def test_importing_twice_changes_nothing(store: Store, paths: LocalPaths) -> None:
    path = busy_journal().write(paths)
    first = store.import_journal(RUN_ID, "alpha", path)
    before = dump(store)
    assert first.events == len(busy_journal().events)
    assert store.import_journal(RUN_ID, "alpha", path).events == 0
    assert dump(store) == before


def test_importing_after_every_few_bytes_gives_the_same_as_importing_once(paths: LocalPaths, tmp_path: Path) -> None:
    journal, other = busy_journal(), LocalPaths(tmp_path / "other")
    with Store.open(paths) as at_once, Store.open(other) as bit_by_bit:
        at_once.import_journal(RUN_ID, "alpha", journal.write(paths))
        path = journal.write(other)
        data, events = journal.data, 0
        for size in range(0, len(data) + 100, 97):
            path.write_bytes(data[:size])
            events += bit_by_bit.import_journal(RUN_ID, "alpha", path).events
        assert events == len(journal.events)
        assert run_report(bit_by_bit, RUN_ID) == run_report(at_once, RUN_ID)
        assert dump(bit_by_bit)[-8:] == dump(at_once)[-8:]


def test_small_pieces_give_the_same_as_a_large_one(
    store: Store, paths: LocalPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "CHUNK_BYTES", 1)
    store.import_journal(RUN_ID, "alpha", busy_journal().write(paths))
    (host_id,) = store.connection.execute("SELECT id FROM hosts").fetchone()
    assert timeline(store, host_id) == timeline_of(busy_journal().events)


def test_the_timeline_of_a_run_that_goes_on_is_that_of_its_journal(store: Store, paths: LocalPaths) -> None:
    going = JournalBuilder().attempt(0, "a.test", 0, 10)
    going.start(1, "b.test", 3)
    store.import_journal(RUN_ID, "alpha", going.write(paths))
    (host_id,) = store.connection.execute("SELECT id FROM hosts").fetchone()
    assert timeline(store, host_id) == timeline_of(going.events)


def test_a_run_that_was_fetched_and_then_resumed_goes_on_in_the_database(store: Store, paths: LocalPaths) -> None:
    journal = busy_journal()
    lost = journal.start(0, "a.test", 35, pass_number=2)
    path = journal.write(paths)
    path.write_bytes(journal.data + b'{"kind":"attempt-fini')
    store.import_journal(RUN_ID, "alpha", path)
    journal.resume(40)
    cut = AttemptFinished(40, lost, "a.test", 0, 2, 7, "cut", 5.0, message="the runner was lost")
    journal.events.append(cut)
    imported = store.import_journal(RUN_ID, "alpha", journal.attempt(1, "b.test", 41, 45, pass_number=2).write(paths))
    assert (imported.events, imported.damage) == (1 + 2 + 1 + 2, "")
    (host_id,) = store.connection.execute("SELECT id FROM hosts").fetchone()
    found = timeline(store, host_id)
    assert found == timeline_of(journal.events)
    assert (found.reason, found.unfinished) == (None, [])
    assert run_report(store, RUN_ID).hosts[0].notes == ("resumed after 40.0s: its runner was gone",)


def test_a_rebuilt_database_is_the_same(store: Store, paths: LocalPaths) -> None:
    busy_journal().write(paths)
    JournalBuilder(run_id=LATER_RUN_ID, host="beta").attempt(0, "a.test", 0, 9).write(paths, "beta", LATER_RUN_ID)
    assert set(store.import_all(paths)) == {(RUN_ID, "alpha"), (LATER_RUN_ID, "beta")}
    before = [run_report(store, run_id) for run_id in store.run_ids()]
    store.close()
    paths.database.unlink()
    with Store.open(paths) as anew:
        assert [run_report(anew, run_id) for run_id in anew.run_ids()] == before
        assert anew.run_ids() == [RUN_ID, LATER_RUN_ID]


def test_a_new_database_imports_what_was_fetched_before(paths: LocalPaths) -> None:
    busy_journal().write(paths)
    (paths.runs / "not a run").mkdir()
    (paths.run(RUN_ID) / "run.json").write_text("{}")
    with Store.open(paths) as store:
        assert store.run_ids() == [RUN_ID]


def test_a_database_of_an_older_version_is_made_anew(paths: LocalPaths) -> None:
    busy_journal().write(paths)
    with Store.open(paths) as store:
        store.connection.execute("PRAGMA user_version = 0")
        store.connection.execute("UPDATE hosts SET workers = 99")
        store.connection.execute("CREATE TABLE left_over (x)")
    with Store.open(paths) as store:
        assert run_report(store, RUN_ID).summary.workers == 2
        assert "left_over" not in "".join(dump(store))


def test_a_database_of_a_newer_version_is_refused_with_what_to_do(paths: LocalPaths) -> None:
    with Store.open(paths) as store:
        store.connection.execute(f"PRAGMA user_version = {database.SCHEMA_VERSION + 1}")
    with pytest.raises(RunError, match="newer sltfleet") as caught:
        Store.open(paths)
    assert "upgrade" in caught.value.fix


def test_a_journal_of_a_newer_version_is_not_readable_and_says_so(paths: LocalPaths) -> None:
    journal = busy_journal().write(paths)
    journal.write_bytes(journal.read_bytes().replace(b'"format":1}', b'"format":2}', 1))
    with Store.open(paths) as store:
        imported = store.import_journal(RUN_ID, "alpha", journal)
        assert (imported.events, imported.readable, store.run_ids()) == (0, False, [])
        assert "newer sltfleet" in imported.damage


def test_a_file_that_is_no_database_is_set_aside_and_made_anew(paths: LocalPaths) -> None:
    busy_journal().write(paths)
    paths.database.write_bytes(b"this is not a database, not at all" * 100)
    with Store.open(paths) as store:
        assert store.run_ids() == [RUN_ID]
    assert paths.database.with_name("results.sqlite.damaged").exists()


def test_a_folder_that_cannot_be_written_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / ".sltfleet").write_text("a file where the folder should be")
    with pytest.raises(RunError, match="cannot make the results database"):
        Store.open(LocalPaths(tmp_path))


def test_a_journal_that_was_replaced_takes_the_place_of_the_old_one(store: Store, paths: LocalPaths) -> None:
    store.import_journal(RUN_ID, "alpha", busy_journal().write(paths))
    other = JournalBuilder(workers=5).attempt(0, "c.test", 0, 1)
    imported = store.import_journal(RUN_ID, "alpha", other.write(paths))
    assert imported.events == len(other.events)
    assert run_report(store, RUN_ID).summary.workers == 5
    assert store.connection.execute("SELECT COUNT(*) FROM attempts").fetchone() == (1,)


def test_a_journal_that_lost_its_end_and_went_on_takes_the_place_of_what_was_fetched_before(
    store: Store, paths: LocalPaths, tmp_path: Path
) -> None:
    before = JournalBuilder().attempt(0, "a.test", 0, 10).attempt(0, "b.test", 10, 20)
    after = (
        JournalBuilder().attempt(0, "a.test", 0, 10).attempt(0, "c.test", 12, 23, "fail").attempt(0, "d.test", 24, 30)
    )
    store.import_journal(RUN_ID, "alpha", before.write(paths))
    store.import_journal(RUN_ID, "alpha", after.write(paths))
    other = LocalPaths(tmp_path / "other")
    with Store.open(other) as at_once:
        at_once.import_journal(RUN_ID, "alpha", after.write(other))
        query = "SELECT attempt, name, outcome, end_s FROM attempts JOIN names ON names.id = unit_id ORDER BY attempt"
        assert store.connection.execute(query).fetchall() == at_once.connection.execute(query).fetchall()


def test_the_journal_of_another_run_is_not_imported(store: Store, paths: LocalPaths) -> None:
    path = JournalBuilder(run_id=LATER_RUN_ID).write(paths, run_id=RUN_ID)
    imported = store.import_journal(RUN_ID, "alpha", path)
    assert (imported.events, store.run_ids()) == (0, [])
    assert f"the journal of run '{LATER_RUN_ID}'" in imported.damage


def test_damage_is_told_every_time_and_mended_by_a_better_journal(store: Store, paths: LocalPaths) -> None:
    journal = busy_journal()
    lines = journal.data.splitlines(keepends=True)
    path = journal.write(paths)
    path.write_bytes(b"".join(lines[:5]) + b"?\n" + b"".join(lines[5:]))
    offset = sum(map(len, lines[:5]))
    assert store.import_journal(RUN_ID, "alpha", path).events == 5
    again = store.import_journal(RUN_ID, "alpha", path)
    assert again.events == 0
    assert f"byte {offset}" in again.damage
    assert f"byte {offset}" in run_report(store, RUN_ID).hosts[0].damage
    assert store.import_journal(RUN_ID, "alpha", journal.write(paths)).events == len(journal.events) - 5
    assert run_report(store, RUN_ID).hosts[0].damage == ""


def test_names_that_are_no_unicode_and_have_nul_come_back_as_they_were(store: Store, paths: LocalPaths) -> None:
    odd = ("lone \udc80.test", "nul\0.test", "'; DROP TABLE hosts; --", "ü\u202e")
    journal = JournalBuilder(units=odd, build_digest="\ud800")
    for number, unit in enumerate(odd):
        journal.attempt(0, unit, number, number + 1, "fail", message=f"message {unit}")
    store.import_journal(RUN_ID, "alpha", journal.write(paths))
    report = run_report(store, RUN_ID)
    assert {case.case for case in report.failing} == set(odd)
    assert {case.message for case in report.failing} == {f"message {unit}" for unit in odd}
    assert report.hosts[0].build_digest == "\ud800"


def test_an_attempt_that_ended_twice_is_counted_once(store: Store, paths: LocalPaths) -> None:
    journal = busy_journal()
    journal.events.insert(-1, journal.events[4])
    twice = [event for event in journal.events if event.kind == "attempt-finished"]
    journal.events[-1:-1] = twice
    store.import_journal(RUN_ID, "alpha", journal.write(paths))
    assert run_report(store, RUN_ID).hosts[0].cases_failed == 1
    assert store.connection.execute("SELECT COUNT(*) FROM failures").fetchone() == (1,)
    assert store.connection.execute("SELECT SUM(count) FROM case_passes").fetchone() == (3,)


def _import(folder: str, times: int) -> None:
    paths = LocalPaths(Path(folder))
    for _ in range(times):
        with Store.open(paths) as store:
            store.import_all(paths)


def test_two_controllers_that_open_and_import_at_once_count_nothing_twice(paths: LocalPaths) -> None:
    for number in range(3):
        journal = JournalBuilder(workers=2)
        for attempt in range(200):
            journal.attempt(attempt % 2, "a.test", attempt / 10, attempt / 10 + 0.1)
        journal.write(paths, f"host{number}")
    context = multiprocessing.get_context("spawn")
    controllers = [context.Process(target=_import, args=(str(paths.fleet_dir), 3)) for _ in range(3)]
    for controller in controllers:
        controller.start()
    try:
        for controller in controllers:
            controller.join(200)
        assert [controller.exitcode for controller in controllers] == [0, 0, 0]
    finally:
        for controller in controllers:
            controller.kill()
    with Store.open(paths) as store:
        report = run_report(store, RUN_ID)
        assert report.summary.attempts == 600
        assert store.connection.execute("SELECT SUM(count) FROM case_passes").fetchone() == (600,)


def test_an_error_of_sqlite_is_told_with_what_to_do(store: Store) -> None:
    store.connection.execute("DROP TABLE failures")
    with pytest.raises(RunError, match="cannot use the results database") as caught, database.translated(store.path):
        store.connection.execute("SELECT * FROM failures")
    assert isinstance(caught.value.__cause__, sqlite3.Error)
