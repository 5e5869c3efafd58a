"""Ctrl-C and SIGTERM in every command, at every stage: what is told, what is left here, and what the run does."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sltfleet.demo.loopback import LoopbackHost
from sltfleet.wire.state import FINISHED, STOPPING
from tests.faults.books import expect_the_books_to_agree
from tests.faults.campaign import Campaign, campaign
from tests.faults.slow_lines import BIG_BYTES, slow_transfers
from tests.support.cli import Typed
from tests.support.waiting import pid_is_alive, wait_for

#: As at a terminal, also where whoever started the tests ignores these signals.
AT_A_TERMINAL = ("env", "--default-signal=INT,TERM,HUP")

#: An interrupted command may end in good order, and the machine may be loaded.
ENDING_S = 120.0

signals = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@contextlib.contextmanager
def at_a_terminal(folder: Path, units: list[str], *hosts: LoopbackHost, **more: Any) -> Iterator[Campaign]:
    """Give a campaign whose person's processes can be told from all others by a mark in their environment."""
    with campaign(folder, units, hosts or (LoopbackHost("alpha"),), **more) as fleet:
        fleet.person.launcher = AT_A_TERMINAL
        fleet.person.environ["PERSONS_MARK"] = uuid.uuid4().hex
        yield fleet


def left_here(fleet: Campaign) -> list[str]:
    """Return the command lines of the person's processes: commands, and whatever these have started here."""
    mark = f"PERSONS_MARK={fleet.person.environ['PERSONS_MARK']}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return found


def interrupt(fleet: Campaign, process: subprocess.Popen[str], number: int = signal.SIGINT) -> Typed:
    """Send the signal, and expect an exit code and a hint, and that nothing is left here."""
    process.send_signal(number)
    typed = fleet.person.finish(process, ENDING_S)
    assert typed.exit_code == 130, typed.said
    assert "Traceback" not in typed.stderr, typed.said
    # A local build is given some seconds to end in good order.
    wait_for(lambda: left_here(fleet) == [])
    return typed


def connections_to(address: str, port: int) -> int:
    """How many connections to a port of this machine are open: see proc_net_tcp(5)."""
    goal = f"{int.from_bytes(socket.inet_aton(address), sys.byteorder):08X}:{port:04X}"
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(fields[2] == goal and fields[3] == "01" for fields in map(str.split, lines))


def hears(process: subprocess.Popen[str], words: str) -> None:
    """Read what a command says besides its result, up to these words: it is at its work then."""
    assert process.stderr is not None
    said = ""
    while words not in said:
        line = process.stderr.readline()
        assert line, f"it ended without a word of {words!r}: {said}"
        said += line


WAITING_COMMANDS = {
    "sync": "`sltfleet sync` again",
    "build": "`sltfleet build` again",
    "run": "`sltfleet status` shows whether the run has begun",
    "quick": "`sltfleet status` shows whether the run has begun",
    "status": "runs go on: `sltfleet status` shows them again",
    "status --watch": "runs go on: `sltfleet status` shows them again",
    "logs": "runs go on: `sltfleet logs -f` follows them again",
    "stop": "`sltfleet status` shows whether the run has ended",
    "fetch": "`sltfleet fetch` again",
    "doctor": "`sltfleet doctor` again",
    "setup": "`sltfleet doctor` shows what is still missing",
    "clean --target": "`sltfleet clean --dry-run`",
}


@signals
def test_a_command_that_waits_for_a_silent_host_ends_at_once_and_says_what_to_type_next(
    odd_path: Path, number: int
) -> None:
    mute = LoopbackHost("mute", server="silent", ssh_config=("ConnectTimeout 250",))
    with at_a_terminal(odd_path, ["true"], mute) as fleet:
        mute_address = fleet.loopback.address("mute")
        processes = {command: fleet.person.start(*command.split()) for command in WAITING_COMMANDS}
        wait_for(lambda: connections_to(*mute_address) == len(processes), "a connection of every command")
        for process in processes.values():
            process.send_signal(number)
        for command, process in processes.items():
            typed = fleet.person.finish(process, ENDING_S)
            assert typed.exit_code == 130, typed.said
            assert f"interrupted\n  next: {WAITING_COMMANDS[command]}" in typed.stderr, typed.said
            assert "Traceback" not in typed.stderr, typed.said
        wait_for(lambda: left_here(fleet) == [], "the end of all that the commands started")


def test_a_proxy_command_is_ended_with_the_command_that_needs_it(odd_path: Path) -> None:
    behind = LoopbackHost("behind", server="down", ssh_config=("ProxyCommand sleep 1000", "ConnectTimeout 250"))
    with at_a_terminal(odd_path, ["true"], behind) as fleet:
        process = fleet.person.start("status")
        wait_for(lambda: any(line.startswith("sleep 1000") for line in left_here(fleet)))
        interrupt(fleet, process, signal.SIGHUP)


@signals
def test_a_transfer_is_ended_and_the_next_sync_makes_the_repo_whole(odd_path: Path, number: int) -> None:
    with at_a_terminal(odd_path, ["true"]) as fleet:
        (fleet.person.cwd / "repo" / "big").write_bytes(os.urandom(BIG_BYTES))
        with slow_transfers(fleet, odd_path):
            process = fleet.person.start("sync")
        wait_for(lambda: list((fleet.project_dir("alpha") / "repo").glob(".big.*")), "a transfer")
        typed = interrupt(fleet, process, number)
        assert "next: `sltfleet sync` again" in typed.stderr
        assert "the repo there is not whole" in fleet.person.does("build", code=4).stderr
        assert "the repo there is not whole" in fleet.person.does("run", code=4).stderr
        fleet.person.does("sync")
        fleet.person.does("build")


def test_a_fetch_is_ended_and_the_next_one_brings_everything_once(odd_path: Path) -> None:
    with at_a_terminal(odd_path, ["sleep 0.1"]) as fleet:
        fleet.person.does("sync")
        fleet.person.does("run", "--passes", "3", "--budget", "300s")
        (fleet.run_dir("alpha") / "artifacts" / "attempt-1.out").write_bytes(os.urandom(BIG_BYTES))
        with slow_transfers(fleet, odd_path):
            process = fleet.person.start("fetch")
        here = fleet.person.cwd / ".sltfleet" / "runs" / fleet.run_dir("alpha").name / "alpha"
        wait_for(lambda: list(here.rglob("*attempt-1.out*")), "a transfer")
        typed = interrupt(fleet, process, signal.SIGTERM)
        assert "next: `sltfleet fetch` again" in typed.stderr
        expect_the_books_to_agree(fleet, "alpha")


@pytest.mark.parametrize(
    ("command", "transport", "number"),
    [("build", "ssh", signal.SIGINT), ("build", "local", signal.SIGTERM), ("run", "ssh", signal.SIGTERM)],
)
def test_a_build_is_ended_where_it_runs_and_no_run_begins(
    odd_path: Path, command: str, transport: str, number: int
) -> None:
    pid_file = odd_path / "pid"
    build = {"command": ["sh", "-c", 'echo $$ >"$PID_FILE"; sleep 1000 & wait'], "env": {"PID_FILE": str(pid_file)}}
    with at_a_terminal(odd_path, ["true"], suite={"build": build}) as fleet:
        if transport == "local":
            make_local(fleet, "alpha")
        fleet.person.does("sync")
        process = fleet.person.start(command)
        wait_for(lambda: pid_file.exists() and pid_file.read_text().strip())
        interrupt(fleet, process, number)
        wait_for(lambda: not pid_is_alive(int(pid_file.read_text())), "the end of what ran there")
        assert fleet.status()["alpha"]["state"] == "idle"


def make_local(fleet: Campaign, host: str) -> None:
    """Have fleet.yaml say that a host is this very machine."""
    path = fleet.person.cwd / "fleet.yaml"
    content = yaml.safe_load(path.read_text())
    content["hosts"][host]["transport"] = "local"
    path.write_text(yaml.safe_dump(content, allow_unicode=True))


def test_a_run_that_is_being_started_goes_on_or_never_began(odd_path: Path) -> None:
    with at_a_terminal(odd_path, ["sleep 0.1"]) as fleet:
        fleet.person.does("sync")
        process = fleet.person.start("run", "--budget", "300s")
        wait_for(lambda: list(fleet.project_dir("alpha").glob("runs/*/spec.json")))
        typed = interrupt(fleet, process)
        assert "`sltfleet status" in typed.stderr
        if fleet.status()["alpha"]["state"] == "running":
            wait_for(lambda: fleet.finished("alpha"))
        # The launch may still be under way there, and refuses another one until it has come to its end.
        again = ("run", "-d", "--budget", "300s", "--replace")
        wait_for(lambda: fleet.person.types(*again).exit_code == 0, "another run in its place")
        fleet.person.does("stop")


WATCHING_COMMANDS = {
    "run": "goes on: `sltfleet status --watch` shows it",
    "status --watch": "next: runs go on",
    "logs -f": "next: runs go on",
}


@signals
def test_a_run_that_is_watched_goes_on_and_loses_nothing(odd_path: Path, number: int) -> None:
    with at_a_terminal(odd_path, ["sleep 0.1"]) as fleet:
        fleet.person.does("sync")
        processes = {"run": fleet.person.start("run", "--budget", "300s")}
        hears(processes["run"], "alpha: running")
        processes |= {
            command: fleet.person.start(*command.split()) for command in WATCHING_COMMANDS if command != "run"
        }
        hears(processes["status --watch"], "alpha: running")
        followed = processes["logs -f"].stdout
        assert followed is not None
        assert followed.readline()
        wait_for(lambda: len(fleet.observed()) > 30)
        for process in processes.values():
            process.send_signal(number)
        for command, process in processes.items():
            typed = fleet.person.finish(process, ENDING_S)
            assert typed.exit_code == 130, typed.said
            assert WATCHING_COMMANDS[command] in typed.stderr, typed.said
        wait_for(lambda: left_here(fleet) == [], "the end of all that the commands started")
        assert fleet.status()["alpha"]["state"] == "running"
        fleet.person.does("stop")
        expect_the_books_to_agree(fleet, "alpha")


#: A login shell that does what it is told, and keeps whoever told it waiting while the file is there.
HELD_SHELL = """\
#!/bin/sh
/bin/sh "$@"
code=$?
while [ -e {held} ]; do sleep 0.05; done
exit "$code"
"""


def test_a_stop_that_was_interrupted_ends_the_run_all_the_same(odd_path: Path) -> None:
    stubborn = "trap '' TERM; sleep 1000 & wait; wait; wait"
    shell, held = odd_path / "shell", odd_path / "held"
    shell.write_text(HELD_SHELL.format(held=shlex.quote(str(held))))
    shell.chmod(0o755)
    hosts = (LoopbackHost("alpha", login_shell=str(shell)),)
    with at_a_terminal(odd_path, [stubborn], *hosts, suite={"kill_after": "2s"}) as fleet:
        fleet.person.does("sync")
        fleet.person.does("run", "-d", "--budget", "300s")
        wait_for(lambda: fleet.observed())
        held.touch()
        process = fleet.person.start("stop")
        wait_for(lambda: fleet.state("alpha").phase in (STOPPING, FINISHED), "the run's end")
        typed = interrupt(fleet, process)
        held.unlink()
        assert "`sltfleet status` shows whether the run has ended" in typed.stderr
        wait_for(lambda: fleet.status()["alpha"]["state"] == "stopped")
        assert fleet.attempts_alive("alpha") == []


def test_a_repro_that_was_interrupted_leaves_no_attempt_on_the_host(odd_path: Path) -> None:
    flag, pid_file = odd_path / "flag", odd_path / "pid"
    unit = 'if [ -e "$FLAG" ]; then echo $$ >"$PID_FILE"; sleep 1000 & wait; fi'
    environment = {"LOG": str(odd_path / "attempts.log"), "FLAG": str(flag), "PID_FILE": str(pid_file)}
    with at_a_terminal(odd_path, [unit], suite={"env": environment}) as fleet:
        fleet.person.does("sync")
        fleet.person.does("run", "--passes", "1", "--budget", "300s")
        fleet.person.does("fetch")
        flag.touch()
        process = fleet.person.start("repro", fleet.run_dir("alpha").name, unit)
        wait_for(lambda: pid_file.exists() and pid_file.read_text().strip())
        interrupt(fleet, process)
        wait_for(lambda: not pid_is_alive(int(pid_file.read_text())), "the end of what ran there")
