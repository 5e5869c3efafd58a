"""fetch against real rsync, over real sshd and locally, with hosts that are honest."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sltfleet.app.fetch import FetchedRun, NothingThere, fetch
from sltfleet.app.report import gather_report
from sltfleet.app.runs import RunRecord, save_run
from sltfleet.core.errors import RunError, UsageError
from sltfleet.wire.events import Note, event_to_line
from tests.contract.fetch_scene import Scene
from tests.support.journals import LATER_RUN_ID, RUN_ID, JournalBuilder
from tests.support.waiting import wait_for


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, and its content."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def grow(journal: Path, text: str) -> None:
    """Append to a journal as a runner does, half a line included."""
    with journal.open("ab") as file:
        file.write(event_to_line(Note(50, text)) + b'{"kind":"no')


def test_what_the_runner_wrote_is_fetched_from_every_host_and_nothing_else(scene: Scene) -> None:
    for host in ("here", "remote"):
        scene.put_run(host)
    result = scene.fetch()
    assert (result.run_id, result.hosts.errors) == (RUN_ID, {})
    for host in ("here", "remote"):
        part = result.hosts.values[host]
        assert isinstance(part, FetchedRun)
        expected = {k: v for k, v in tree(scene.run_folder(host)).items() if not k.startswith(("tree", "workers"))}
        assert tree(scene.fetched(host)) == expected
        assert (part.files, part.removed) == (7, 0)
        assert stat.S_IMODE((part.folder / "journal.jsonl").stat().st_mode) == 0o600
        assert stat.S_IMODE(part.folder.stat().st_mode) == 0o700
    assert gather_report(scene.fleet.paths).summary.attempts == 2


def test_fetching_again_brings_what_is_new_and_keeps_what_is_gone_on_the_host(scene: Scene) -> None:
    folder = scene.put_run("remote")
    scene.put_run("here")
    first = scene.fetch()
    (folder / "artifacts" / "attempt-2.out").unlink()
    grow(folder / "journal.jsonl", "grown")
    second = scene.fetch(RUN_ID)
    assert [first.imported["remote"].events, second.imported["remote"].events] == [7 - 1, 1]
    assert second.imported["here"].events == 0
    assert (scene.fetched("remote") / "journal.jsonl").read_bytes() == (folder / "journal.jsonl").read_bytes()
    assert (scene.fetched("remote") / "artifacts" / "attempt-2.out").exists()
    assert gather_report(scene.fleet.paths, RUN_ID).hosts[1].notes == ("grown",)


def test_of_a_large_journal_only_the_growth_crosses_the_network(scene: Scene) -> None:
    journal = JournalBuilder(host="remote")
    for number in range(20_000):
        journal.attempt(0, "a.test", number / 1000, number / 1000 + 0.001, message=os.urandom(16).hex())
    folder = scene.put_run("remote", journal=journal)
    scene.put_run("here")
    scene.fetch()
    grow(folder / "journal.jsonl", "grown")
    part = scene.fetch().hosts.values["remote"]
    assert isinstance(part, FetchedRun)
    assert part.size_bytes > 8_000_000
    assert part.received_bytes < 200_000


def test_a_run_can_be_fetched_while_its_journal_is_being_written(scene: Scene) -> None:
    folder = scene.put_run("here")
    scene.put_run("remote")
    writer = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time, os\n"
            "while True:\n"
            "    with open(sys.argv[1], 'ab') as file: file.write(sys.argv[3].encode() * 50); file.write(b'{')\n"
            "    os.truncate(sys.argv[1], os.path.getsize(sys.argv[1]) - 1)\n"
            "    time.sleep(0.01)\n"
            "    open(sys.argv[2] + '.new', 'w').write('x' * 5000); os.rename(sys.argv[2] + '.new', sys.argv[2])\n",
            str(folder / "journal.jsonl"),
            str(folder / "state.json"),
            event_to_line(Note(1, "busy")).decode(),
        ]
    )
    before = (folder / "journal.jsonl").stat().st_size
    try:
        wait_for(lambda: (folder / "journal.jsonl").stat().st_size > before, "a writer at work")
        counts = [scene.fetch(RUN_ID).imported["here"].events for _ in range(5)]
    finally:
        writer.kill()
        writer.wait()
    assert scene.warnings == []
    assert sum(counts) > 6
    assert scene.fetch(RUN_ID).imported["here"].damage == ""


def test_the_newest_run_of_all_hosts_is_the_result_and_older_ones_are_fetched_as_well(scene: Scene) -> None:
    scene.put_run("here", RUN_ID)
    scene.put_run("remote", LATER_RUN_ID)
    result = scene.fetch()
    assert result.run_id == LATER_RUN_ID
    assert scene.fetched("here", RUN_ID).is_dir()


def test_a_host_whose_newest_run_is_another_one_is_named_with_what_shows_it(scene: Scene) -> None:
    scene.put_run("here", LATER_RUN_ID)
    scene.put_run("remote")
    assert scene.fetch().run_id == LATER_RUN_ID
    assert scene.told == [
        ("remote", f"it had run {RUN_ID}, which is not in the tables of {LATER_RUN_ID}", f"sltfleet report {RUN_ID}")
    ]


def test_a_host_that_the_run_was_started_on_and_was_not_asked_is_named(scene: Scene) -> None:
    record = RunRecord(RUN_ID, "sample", "slt", ("here", "remote", "third"), {}, 1.0, 30.0, 1, "", "")
    save_run(scene.fleet.paths, record)
    scene.put_run("here")
    (host,) = (host for host in scene.fleet.hosts if host.name == "here")
    fetch(replace(scene.fleet, hosts=(host,)), None, scene.events.append)
    ((_, text, fix),) = scene.told
    assert "remote, third" in text
    assert fix == f"sltfleet fetch --run {RUN_ID}"


def test_a_host_without_the_run_is_no_error(scene: Scene) -> None:
    scene.put_run("remote")
    result = scene.fetch(RUN_ID)
    assert result.hosts.values["here"] == NothingThere()
    assert result.hosts.errors == {}


@pytest.mark.parametrize("run_id", [None, RUN_ID])
def test_where_no_host_has_a_run_there_is_nothing_to_fetch(scene: Scene, run_id: str | None) -> None:
    with pytest.raises(RunError, match="no host has"):
        scene.fetch(run_id)


def test_what_is_no_run_id_is_refused_before_any_host_is_asked(scene: Scene) -> None:
    with pytest.raises(UsageError, match="no run id"):
        scene.fetch("../../etc")


def test_a_failing_host_does_not_keep_the_others_from_being_fetched(scene: Scene) -> None:
    scene.put_run("here")
    scene.put_run("remote")
    (scene.run_folder("remote") / "journal.jsonl").unlink()
    result = scene.fetch()
    assert result.run_id == RUN_ID
    assert "no journal" in str(result.hosts.errors["remote"])
    assert list(result.imported) == ["here"]


def test_a_damaged_journal_is_imported_up_to_the_damage_and_told(scene: Scene) -> None:
    scene.put_run("here")
    with (scene.run_folder("here") / "journal.jsonl").open("ab") as file:
        file.write(b"garbage\n")
    result = scene.fetch(RUN_ID)
    assert result.imported["here"].events == 6
    assert "cannot be read beyond byte" in scene.warnings[0]
