"""Fault 16: a sync during a run changes nothing in that run."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.faults.campaign import campaign
from tests.support.waiting import wait_for

#: Every attempt prints what it sees of the repo; the first one holds the run open until the sync is over.
WAITS = 'echo waits; while [ ! -e "$LOG.synced" ]; do sleep 0.05; done'
LOOKS = 'cat data.txt; ls more; test "$(cat data.txt more/deleted.txt)" = "as it was"'


def test_a_sync_during_a_run_changes_nothing_in_that_run_and_everything_for_the_next(odd_path: Path) -> None:
    with campaign(odd_path, [WAITS, LOOKS]) as scene:
        repo = scene.person.cwd / "repo"
        (repo / "more").mkdir()
        (repo / "data.txt").write_text("as it was")
        (repo / "more" / "deleted.txt").write_text("")
        scene.person.does("sync")
        scene.person.does("run", "--workers", "1", "--passes", "2", "--budget", "300s", "--detach")
        wait_for(lambda: scene.started("alpha"))

        (repo / "data.txt").write_text("changed")
        (repo / "new.txt").write_text("new")
        (repo / "unit.sh").write_text("exit 1\n")
        shutil.rmtree(repo / "more")
        scene.person.does("sync")
        on_host = scene.project_dir("alpha") / "repo"
        assert (on_host / "data.txt").read_text() == "changed"
        assert not (on_host / "more").exists()
        before = scene.run_dir("alpha") / "tree"
        assert (before / "data.txt").read_text() == "as it was"
        assert not (before / "new.txt").exists()

        Path(f"{scene.log}.synced").touch()
        scene.waits_for_the_end()
        assert [event.outcome for event in scene.finished("alpha")] == ["pass"] * 4
        assert scene.fetched_outcomes() == {"pass": 4}
        # The next run sees what was synced: there every unit fails.
        scene.person.does("run", "--passes", "1", "--budget", "300s", code=1)
        assert scene.fetched_outcomes() == {"fail": 2}


def test_a_sync_that_fails_half_way_during_a_run_changes_nothing_in_that_run_either(odd_path: Path) -> None:
    with campaign(odd_path, [WAITS, "test $(cat data.txt) = whole"]) as scene:
        (scene.person.cwd / "repo" / "data.txt").write_text("whole")
        scene.person.does("sync")
        scene.person.does("run", "--workers", "1", "--passes", "1", "--budget", "300s", "--detach")
        wait_for(lambda: scene.started("alpha"))
        # What a sync leaves that was cut off: a changed tree, and the mark that it is not whole.
        (scene.project_dir("alpha") / "repo" / "data.txt").unlink()
        (scene.project_dir("alpha") / "sync.incomplete").write_text("{}")
        refused = scene.person.does("run", "--replace", "--budget", "5s", code=4)
        assert "interrupted" in refused.stderr or "incomplete" in refused.stderr, refused.said
        Path(f"{scene.log}.synced").touch()
        scene.waits_for_the_end()
        assert scene.fetched_outcomes() == {"pass": 2}
