"""A host's disk that is full: while something is synced, built, started, and while a run goes on."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sltfleet.demo.loopback import LoopbackHost
from sltfleet.runner.processes import is_alive
from tests.faults.books import expect_the_books_to_agree
from tests.faults.campaign import Campaign, campaign
from tests.support.disks import SmallDisk, small_disk
from tests.support.waiting import wait_for

MEGABYTE = 1024 * 1024


@contextlib.contextmanager
def small_host(folder: Path, units: list[str], **more: Any) -> Iterator[tuple[Campaign, SmallDisk]]:
    """Give a campaign over `near` and a host `small`, whose project lies on a disk of 4 MB."""
    with small_disk(folder / "hosts" / "small", 4 * MEGABYTE) as disk:
        hosts = (LoopbackHost("near"), LoopbackHost("small", launcher=disk.launcher))
        with campaign(folder, units, hosts, **more) as fleet:
            fleet.roots = {**fleet.roots, "small": disk.inside}
            yield fleet, disk


def expect_refusal_until_synced(fleet: Campaign) -> None:
    for command in ("build", "run"):
        refused = fleet.person.does(command, "--host", "small", code=4)
        assert "the repo there is not whole" in refused.stderr
        assert "next: run `sltfleet sync`" in refused.stderr


def test_a_sync_that_fills_the_disk_says_so_and_the_next_one_with_room_is_whole(odd_path: Path) -> None:
    with small_host(odd_path, ["true"]) as (fleet, _):
        big = fleet.person.cwd / "repo" / "big"
        big.write_bytes(os.urandom(6 * MEGABYTE))
        typed = fleet.person.does("sync", code=4)
        assert "near: syncing: 2 files, 2 sent" in typed.stderr
        # What rsync says of it may be lost with the connection.
        assert "is full" in typed.stderr or "the disk may be full" in typed.stderr, typed.said
        assert "`sltfleet clean`" in typed.stderr
        expect_refusal_until_synced(fleet)
        big.unlink()
        fleet.person.does("sync")
        fleet.person.does("run", "--host", "small", "--budget", "1s")


def test_a_first_sync_to_a_full_disk_is_no_obstacle_to_the_next_one(odd_path: Path) -> None:
    with small_host(odd_path, ["true"]) as (fleet, disk):
        disk.fill()
        typed = fleet.person.does("sync", "--host", "small", code=4)
        assert "error: small: the disk is full\n" in typed.stderr
        assert "next: free some space there" in typed.stderr
        disk.make_room()
        fleet.person.does("sync", "--host", "small")
        disk.fill()
        assert "error: small: the disk is full\n" in fleet.person.does("sync", "--host", "small", code=4).stderr
        expect_refusal_until_synced(fleet)
        disk.make_room()
        fleet.person.does("sync", "--host", "small")
        fleet.person.does("build", "--host", "small")


def test_a_build_that_cannot_be_recorded_is_none_and_is_made_again_with_room(odd_path: Path) -> None:
    with small_host(odd_path, ["true"], suite={"build": {"command": ["true"]}}) as (fleet, disk):
        fleet.person.does("sync", "--host", "small")
        disk.fill()
        for command in ("build", "run"):
            typed = fleet.person.does(command, "--host", "small", code=5)
            assert "error: small: the disk is full\n" in typed.stderr
            assert "next: free some space there" in typed.stderr
        assert not list((fleet.project_dir("small") / "builds").glob("*.json"))
        disk.make_room()
        assert "built in" in fleet.person.does("build", "--host", "small").stderr
        assert "nothing has changed" in fleet.person.does("build", "--host", "small").stderr


def test_a_run_is_not_started_on_a_full_disk_and_leaves_no_trace_there(odd_path: Path) -> None:
    with small_host(odd_path, ["true"]) as (fleet, disk):
        fleet.person.does("sync", "--host", "small")
        # First there is no room even for the runner's archive, then for that and no run.
        for room_bytes in (0, 800 * 1024):
            disk.fill(room_bytes)
            typed = fleet.person.does("run", "--host", "small", "-d", code=6)
            assert "full" in typed.stderr or "No space left on device" in typed.stderr, typed.said
            assert "`sltfleet clean`" in typed.stderr, typed.said
            assert not list(fleet.project_dir("small").glob("runs/*"))
            assert fleet.status()["small"]["state"] == "idle"
            disk.make_room()
        fleet.person.does("run", "--host", "small", "--budget", "1s")


def test_a_run_goes_on_while_the_disk_is_full_and_writes_everything_down_when_there_is_room(odd_path: Path) -> None:
    with small_host(odd_path, ["sleep 0.05", "false"]) as (fleet, disk):
        fleet.person.does("sync", "--host", "small")
        fleet.person.does("run", "-d", "--host", "small", "--budget", "300s", "-j", "2")
        wait_for(lambda: fleet.observed())
        disk.fill()
        wait_for(lambda: "the journal cannot be written: No space left on device" in said_of(fleet, "small"))
        before = len(fleet.observed())
        journal = (fleet.run_dir("small") / "journal.jsonl").stat().st_size
        wait_for(lambda: len(fleet.observed()) > before + 10)
        assert (fleet.run_dir("small") / "journal.jsonl").stat().st_size == journal
        assert fleet.status()["small"]["state"] == "running"
        disk.make_room()
        wait_for(lambda: "journal" not in said_of(fleet, "small"))
        fleet.person.does("stop", "--host", "small")
        expect_the_books_to_agree(fleet, "small")


def said_of(fleet: Campaign, host: str) -> str:
    """What `status` says besides its table."""
    return fleet.person.does("status", "--host", host).stderr


def is_quiet(fleet: Campaign, for_s: float) -> bool:
    """Whether no unit has logged anything for so long."""
    return time.time() - fleet.log.stat().st_mtime > for_s


#: All wait until they are let go; what is written of so many is more than the room that the journal's last page has.
WAITING_UNITS = [f'until [ -e "$LOG.go" ]; do sleep 0.05; done; [ {number} != 3 ]' for number in range(24)]


def test_a_run_that_ends_on_a_full_disk_waits_for_room_and_loses_nothing(odd_path: Path) -> None:
    with small_host(odd_path, WAITING_UNITS) as (fleet, disk):
        fleet.person.does("sync", "--host", "small")
        fleet.person.does("run", "-d", "--host", "small", "--budget", "300s", "--passes", "1", "-j", "2")
        wait_for(lambda: fleet.observed())
        disk.fill()
        Path(f"{fleet.log}.go").touch()
        wait_for(lambda: sum(what == "end" for what, *_ in fleet.observed()) >= len(WAITING_UNITS))
        wait_for(lambda: is_quiet(fleet, 1.0))
        assert is_alive(fleet.identity("small"))
        disk.make_room()
        wait_for(lambda: fleet.status()["small"]["state"] == "finished")
        expect_the_books_to_agree(fleet, "small")
