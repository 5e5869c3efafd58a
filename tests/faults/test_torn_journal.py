"""Fault 20: a torn or corrupt journal, at every byte offset: everything before it is kept, nothing is counted twice."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sltfleet.core.paths import LocalPaths
from sltfleet.results.store import Store
from sltfleet.wire.events import AttemptFinished
from tests.faults.campaign import campaign
from tests.support.journals import RUN_ID, JournalBuilder, read_all


def small_journal() -> JournalBuilder:
    builder = JournalBuilder(workers=1).attempt(0, "a.test", 0, 1)
    return builder.attempt(0, "ü 'b'.test", 1, 2, "fail", message="expected 1, got 2").leave(0, 2).finish(2)


def counted(store: Store) -> tuple[int, int]:
    """How many attempts the database has, and how many different ones."""
    query = "SELECT COUNT(*), COUNT(DISTINCT attempt) FROM attempts WHERE outcome IS NOT NULL"
    total, different = store.connection.execute(query).fetchone()
    return int(total), int(different)


def test_a_journal_torn_at_any_byte_keeps_every_event_before_it_and_goes_on_when_the_rest_arrives(
    tmp_path: Path,
) -> None:
    builder = small_journal()
    data = builder.data
    paths = LocalPaths(tmp_path)
    journal = builder.write(paths)
    with Store.open(paths) as store:
        store.connection.execute("PRAGMA synchronous = OFF")
        for cut in range(len(data) + 1):
            store.connection.execute("DELETE FROM hosts")
            journal.write_bytes(data[:cut])
            imported = store.import_journal(RUN_ID, "alpha", journal)
            whole = data[:cut].count(b"\n")
            assert (imported.events, imported.damage) == (whole, ""), cut
            finished = sum(isinstance(event, AttemptFinished) for event in builder.events[:whole])
            assert counted(store) == (finished, finished), cut
            journal.write_bytes(data)
            rest = store.import_journal(RUN_ID, "alpha", journal)
            assert (rest.events, rest.damage) == (len(builder.events) - whole, ""), cut
            assert counted(store) == (2, 2), cut


CORRUPTIONS: list[tuple[str, Callable[[bytes, int], bytes]]] = [
    ("a zero byte", lambda data, at: data[:at] + b"\0" + data[at + 1 :]),
    ("bits flipped", lambda data, at: data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]),
    ("a line end", lambda data, at: data[:at] + b"\n" + data[at:]),
    ("a block of zeros to the end", lambda data, at: data[:at] + bytes(len(data) - at - 1) + b"\n"),
]


@pytest.mark.parametrize("corrupt", [case[1] for case in CORRUPTIONS], ids=[case[0] for case in CORRUPTIONS])
def test_a_journal_corrupt_at_any_byte_keeps_every_event_before_it(
    corrupt: Callable[[bytes, int], bytes], tmp_path: Path
) -> None:
    builder = small_journal()
    data = builder.data
    journal = tmp_path / "journal.jsonl"
    for at in range(len(data)):
        damaged = corrupt(data, at)
        journal.write_bytes(damaged)
        events, damage = read_all(journal)
        before = data[:at].count(b"\n")
        # Never less than what stands before, never an event that the runner did not write.
        assert events[:before] == builder.events[:before], at
        assert events == builder.events[: len(events)], at
        if len(events) < len(builder.events) and damaged.endswith(b"\n"):
            assert damage is not None, at
            assert damage.offset == len(b"".join(data.splitlines(keepends=True)[: len(events)])), at


def test_a_person_fetches_a_torn_and_a_corrupt_journal_and_is_told_what_is_missing(odd_path: Path) -> None:
    with campaign(odd_path, ["true", "false", "exit 3"]) as scene:
        scene.person.does("sync")
        scene.person.does("run", "--workers", "1", "--passes", "3", "--budget", "300s", code=1)
        journal = scene.run_dir("alpha") / "journal.jsonl"
        whole = journal.read_bytes()
        lines = whole.splitlines(keepends=True)
        ends = [number for number, line in enumerate(lines) if b'"attempt-finished"' in line]
        assert len(ends) == 9

        # Torn in the middle of the fifth attempt's end: what a crash of the host leaves.
        journal.write_bytes(b"".join(lines[: ends[4]]) + lines[ends[4]][:40])
        torn = scene.person.does("fetch")
        assert "cannot be read" not in torn.stderr, torn.said
        assert sum(scene.fetched_outcomes().values()) == 4

        # The rest arrives after all, and then a disk turns a line of it into zeros.
        journal.write_bytes(whole)
        assert sum(scene.fetched_outcomes().values()) == 9
        shutil.rmtree(scene.person.cwd / ".sltfleet")
        corrupt = b"".join(lines[: ends[6]]) + bytes(len(lines[ends[6]]) - 1) + b"\n" + b"".join(lines[ends[6] + 1 :])
        journal.write_bytes(corrupt)
        os.utime(journal)
        fetched = scene.person.does("fetch")
        place = len(b"".join(lines[: ends[6]]))
        assert f"the journal cannot be read beyond byte {place}" in fetched.stderr
        assert "what stands before is in the tables" in fetched.stderr
        assert sum(scene.fetched_outcomes().values()) == 6
        # The observer saw nine attempts: three are missing, and the person was told so.
        assert len([what for what, _, _ in scene.observed() if what == "start"]) == 9
        assert f"byte {place}" in scene.person.does("report").stdout
