"""Fault 21: a run from an older and from a newer sltfleet on the host: an error that says so, never a wrong number."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from sltfleet.runner.processes import read_stat
from sltfleet.wire.format import FORMAT_VERSION, OLDEST_READABLE_FORMAT
from tests.faults.campaign import Campaign, campaign
from tests.support.waiting import wait_for

OTHERS = [
    (OLDEST_READABLE_FORMAT - 1, "written by an older sltfleet"),
    (FORMAT_VERSION + 1, "written by a newer sltfleet"),
]

#: What every command that shows numbers of the run ends with.
HOST, RUN = 3, 6


def written_by_another(scene: Campaign, found: int) -> str:
    """Make the run on the host one of another format, whose numbers mean something else. Returns its id."""
    run_dir = scene.run_dir("alpha")
    for name in ("spec.json", "state.json"):
        value: dict[str, Any] = json.loads((run_dir / name).read_text())
        (run_dir / name).write_text(json.dumps({**value, "format": found}))
    first, *rest = (run_dir / "journal.jsonl").read_bytes().splitlines(keepends=True)
    first = json.dumps({**json.loads(first), "format": found}, separators=(",", ":")).encode() + b"\n"
    (run_dir / "journal.jsonl").write_bytes(b"".join([first, *rest]))
    return run_dir.name


def is_stopped(pid: int) -> bool:
    stat = read_stat(pid)
    return stat is not None and stat.state == "T"


@pytest.mark.parametrize(("found", "words"), OTHERS, ids=["older", "newer"])
def test_a_run_of_another_version_is_named_as_such_and_none_of_its_numbers_is_shown(
    found: int, words: str, odd_path: Path
) -> None:
    with campaign(odd_path, ["true", "false"]) as scene:
        person = scene.person
        person.does("sync")
        person.does("run", "--workers", "1", "--passes", "2", "--budget", "300s", code=1)
        run_id = written_by_another(scene, found)

        shown = person.does("status", code=HOST)
        assert "unreadable" in shown.stdout
        assert words in shown.stderr
        host = person.does("status", "--format", "json", code=HOST).json()["hosts"][0]
        assert (host["state"], host["run"]) == ("unreadable", run_id)
        assert words in host["problem"]
        assert {host[key] for key in host.keys() - {"host", "state", "run", "problem"}} == {None}

        for command in (
            ["logs"],
            ["logs", "-f"],
            ["fetch"],
            ["fetch", "--format", "json"],
            ["report"],
            ["report", run_id, "--format", "json"],
        ):
            refused = person.does(*command, code=RUN, timeout_s=120)
            assert words in refused.stderr, refused.said
            assert f"format {found}" in refused.stderr
            assert refused.stdout == ""

        # Ending and deleting it need none of its numbers; a new run takes its place.
        assert "had ended before" in person.does("stop").stderr
        person.does("run", "--workers", "1", "--passes", "1", "--budget", "300s", code=1)
        assert scene.fetched_outcomes() == {"pass": 1, "fail": 1}
        assert words in person.does("report", run_id, code=RUN).stderr
        person.does("clean", "--keep", "1", "--yes")
        assert [folder.name for folder in (scene.project_dir("alpha") / "runs").iterdir()] != [run_id]


def test_a_live_runner_of_another_version_can_be_seen_and_stopped(odd_path: Path) -> None:
    with campaign(odd_path, ["sleep 60"]) as scene:
        scene.person.does("sync")
        scene.person.does("run", "--workers", "1", "--budget", "300s", "--detach")
        pid = scene.identity("alpha").pid
        os.kill(pid, signal.SIGSTOP)  # or it would write a state of this version over the other
        wait_for(lambda: is_stopped(pid))
        written_by_another(scene, FORMAT_VERSION + 1)
        host = scene.status()["alpha"]
        assert (host["state"], host["attempts"]) == ("running", None)
        assert "newer sltfleet" in host["problem"]
        refused = scene.person.does("run", "--budget", "5s", code=RUN)
        assert "a run is active on this host" in refused.stderr
        os.kill(pid, signal.SIGCONT)
        assert "stopped" in scene.person.does("stop").stderr
        assert scene.attempts_alive("alpha") == []
