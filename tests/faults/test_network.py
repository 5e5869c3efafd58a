"""A network that fails: peers that say nothing, links that drop every packet, links that come back."""

from __future__ import annotations

import os
from pathlib import Path

from sltfleet.demo.loopback import LoopbackHost
from tests.faults.books import expect_the_books_to_agree
from tests.faults.campaign import Campaign, campaign
from tests.faults.commands import DEADLINE_S, type_at_once
from tests.faults.slow_lines import BIG_BYTES, slow_transfers
from tests.support.netns import network
from tests.support.waiting import wait_for


def expect_no_answer(fleet: Campaign) -> None:
    """Have the commands that are typed from now on give up on a host that does not answer within 2 s."""
    change_timeout(fleet, 60, 2)


def expect_an_answer(fleet: Campaign) -> None:
    """Give hosts all the time that they need to answer, as it was before."""
    change_timeout(fleet, 2, 60)


def change_timeout(fleet: Campaign, before_s: int, after_s: int) -> None:
    config = fleet.loopback.ssh_config
    entry, far = config.read_text().split("Host far\n")
    assert f"ConnectTimeout {before_s}\n" in far
    config.write_text(f"{entry}Host far\n" + far.replace(f"ConnectTimeout {before_s}\n", f"ConnectTimeout {after_s}\n"))


def expect_every_command_to_serve_the_other_host(fleet: Campaign, dead: str, why: str) -> None:
    """Type every command at a fleet of `near` and a host that is dead, with a run on `near` that has ended."""
    looking = type_at_once(fleet, ["status", "logs", "doctor", "fetch", "clean --target -y", "setup --dry-run", "sync"])
    served = {
        "status": "finished",
        "logs": "pass 1",
        "doctor": "near: examining: ",
        "fetch": "near: fetching: run",
        "clean --target -y": "nothing to delete",
        "setup --dry-run": "near",
        "sync": "near: syncing: 1 files",
    }
    changing = type_at_once(fleet, ["build", "stop"]) | type_at_once(fleet, ["run -d --budget 1s"])
    served |= {"build": "near: building", "stop": "near: stopping: run", "run -d --budget 1s": "near: starting"}
    for command, typed in (looking | changing).items():
        assert served[command] in typed.stdout + typed.stderr, typed.said
        assert dead in typed.stdout + typed.stderr, typed.said
        assert why in typed.stdout + typed.stderr, typed.said
        assert typed.exit_code == (7 if command == "doctor" else 3), typed.said


def test_a_link_that_drops_every_packet_ends_every_command_in_time_and_delays_no_other_host(odd_path: Path) -> None:
    with (
        network("near", "far") as net,
        campaign(odd_path, ["true", "sleep 0.1"], [net.host("near"), net.host("far")]) as fleet,
    ):
        fleet.person.launcher = net.launcher
        fleet.person.does("sync")
        fleet.person.does("run", "--passes", "1", "--budget", "300s", "--host", "near")
        net.cut("far")
        expect_no_answer(fleet)
        expect_every_command_to_serve_the_other_host(fleet, "far", "no answer in time (ConnectTimeout is 2 s)")
        net.mend("far")
        expect_an_answer(fleet)
        assert fleet.status()["far"]["state"] == "idle"


def test_a_peer_that_accepts_and_never_answers_ends_every_command_in_time_and_delays_no_other_host(
    odd_path: Path,
) -> None:
    silent = LoopbackHost("mute", server="silent", ssh_config=("ConnectTimeout 2",))
    with campaign(odd_path, ["true", "sleep 0.1"], [LoopbackHost("near"), silent]) as fleet:
        fleet.person.does("sync", "--host", "near")
        fleet.person.does("run", "--passes", "1", "--budget", "300s", "--host", "near")
        expect_every_command_to_serve_the_other_host(fleet, "mute", "no answer in time (ConnectTimeout is 2 s)")


def test_the_lines_of_a_host_that_answers_come_while_a_silent_one_is_waited_for(odd_path: Path) -> None:
    silent = LoopbackHost("mute", server="silent", ssh_config=("ConnectTimeout 250",))
    with campaign(odd_path, ["true"], [LoopbackHost("near"), silent]) as fleet:
        fleet.person.does("sync", "--host", "near")
        fleet.person.does("run", "--passes", "1", "--budget", "300s", "--host", "near")
        for command in ("logs", "doctor"):
            process = fleet.person.start(command)
            output = process.stdout if command == "logs" else process.stderr
            assert output is not None
            assert "near" in output.readline()
            assert process.poll() is None


def test_a_run_is_watched_through_an_outage_and_nothing_of_it_is_lost_or_counted_twice(odd_path: Path) -> None:
    with network("far") as net, campaign(odd_path, ["sleep 0.1", "false"], [net.host("far")]) as fleet:
        fleet.person.launcher = net.launcher
        fleet.person.does("sync")
        watching = fleet.person.start("run", "--budget", "10s", "-j", "2")
        wait_for(lambda: len(fleet.observed()) > 10)
        net.cut("far")
        expect_no_answer(fleet)
        assert fleet.status()["far"]["state"] == "unreachable"
        net.mend("far")
        typed = fleet.person.finish(watching, DEADLINE_S)
        assert typed.exit_code == 1, typed.said
        assert "finished" in typed.stdout, typed.said
        expect_the_books_to_agree(fleet, "far")


def test_a_start_that_lost_its_connection_is_not_repeated_and_the_run_is_found_again(odd_path: Path) -> None:
    # The units are asked for while the run is being started: that takes until the test lets it go on.
    asked = ["sh", "-c", 'until [ -e "$LOG.go" ]; do sleep 0.05; done; echo "sleep 0.1"']
    units = {"kind": "command", "program": ["sh", "unit.sh", "{unit}"], "lines_of": asked}
    with network("far") as net, campaign(odd_path, [], [net.host("far")], suite={"units": units}) as fleet:
        fleet.person.launcher = net.launcher
        fleet.person.does("sync")
        starting = fleet.person.start("run", "-d", "--budget", "300s")
        wait_for(lambda: list(fleet.project_dir("far").glob("runs/*/spec.json")))
        net.cut("far")
        typed = fleet.person.finish(starting, DEADLINE_S)
        Path(f"{fleet.log}.go").touch()
        assert typed.exit_code == 3, typed.said
        assert "far: the connection was lost while a command ran" in typed.stderr
        net.mend("far")
        wait_for(lambda: fleet.status()["far"]["state"] == "running")
        again = fleet.person.does("run", "-d", code=6)
        assert "a run is active on this host" in again.stderr
        assert len(list(fleet.project_dir("far").glob("runs/*"))) == 1
        fleet.person.does("stop")


def test_a_network_that_is_cut_in_the_middle_of_a_sync_keeps_build_and_run_away_until_one_is_whole(
    odd_path: Path,
) -> None:
    with network("near", "far") as net, campaign(odd_path, ["true"], [net.host("near"), net.host("far")]) as fleet:
        fleet.person.launcher = net.launcher
        fleet.person.does("sync")
        big = fleet.person.cwd / "repo" / "big"
        big.write_bytes(os.urandom(BIG_BYTES))
        arriving = fleet.project_dir("far") / "repo"
        with slow_transfers(fleet, odd_path):
            syncing = fleet.person.start("sync")
        wait_for(lambda: any(path.stat().st_size for path in arriving.glob(".big.*")))
        net.cut("far")
        typed = fleet.person.finish(syncing, DEADLINE_S)
        assert typed.exit_code in (3, 4), typed.said
        assert "near: syncing: 2 files, 1 sent" in typed.stderr, typed.said
        assert "next:" in typed.stderr, typed.said
        net.mend("far")
        for command in ("build", "run"):
            refused = fleet.person.does(command, "--host", "far", code=4)
            assert "the repo there is not whole" in refused.stderr
            assert "run `sltfleet sync`" in refused.stderr
        fleet.person.does("sync")
        assert (arriving / "big").read_bytes() == big.read_bytes()
        assert fleet.person.does("run", "--passes", "1", "--budget", "300s", "--host", "far")
