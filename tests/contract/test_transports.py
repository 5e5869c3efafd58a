"""Every transport keeps `transport.base.Transport`'s promises: local, ssh, and ssh with login shells that make it hard.

What only ssh has (keys, jump hosts, lost connections) is in test_ssh_connections.py.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sltfleet.config.model import HostConfig
from sltfleet.core.errors import CommandTimeout, HostError
from sltfleet.core.shell import Script, rsync_rsh
from sltfleet.demo.loopback import LoopbackFleet, LoopbackHost
from sltfleet.transport.base import CommandResult, Transport
from sltfleet.transport.connect import open_transport
from tests.support.hosts import NOISE
from tests.support.waiting import pid_is_alive, wait_for

#: Login shells that are none of POSIX's, or differ from it in some way that matters.
LOGIN_SHELLS = ("fish", "tcsh", "zsh")

KINDS = ("local", "ssh", "noisy", *LOGIN_SHELLS)

#: What an argument can carry: everything but NUL, lone surrogates included where they stand for undecodable bytes.
WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40) | st.binary(
    max_size=20
).map(lambda data: os.fsdecode(data.replace(b"\0", b"")))


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackFleet]:
    folder = tmp_path_factory.mktemp("odd 'fleet' \"näme\"")
    home = folder / "home"
    home.mkdir()
    hosts = [LoopbackHost("ssh", home=home), LoopbackHost("noisy", home=home, login_noise=NOISE)]
    hosts += [
        LoopbackHost(shell, home=home, login_shell=path) for shell in LOGIN_SHELLS if (path := shutil.which(shell))
    ]
    with LoopbackFleet(hosts, folder / "fleet") as running:
        yield running


@pytest.fixture(scope="module", params=KINDS)
def transport(request: pytest.FixtureRequest, fleet: LoopbackFleet) -> Iterator[Transport]:
    kind = str(request.param)
    if kind in LOGIN_SHELLS and shutil.which(kind) is None:
        pytest.skip(f"{kind} is not installed")
    config = HostConfig(transport="local" if kind == "local" else "ssh")
    with contextlib.closing(open_transport(kind, config, fleet.ssh_config)) as opened:
        yield opened


def run(transport: Transport, body: str, *args: str, timeout_s: float = 60.0) -> CommandResult:
    return transport.run(Script(body, args), timeout_s=timeout_s)


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@settings(max_examples=15)
@given(words=st.lists(WORDS, max_size=200))
def test_arguments_arrive_literally(transport: Transport, words: list[str]) -> None:
    result = run(transport, "for word; do printf '%s\\0' \"$word\"; done", *words)
    assert result.stdout == "".join(f"{word}\0" for word in words)
    assert result.stderr == ""


def test_every_ascii_character_arrives(transport: Transport) -> None:
    every = "".join(chr(code) for code in range(1, 128))
    assert run(transport, 'printf %s "$1"', every).stdout == every


def test_files_are_put_byte_for_byte(transport: Transport, odd_path: Path) -> None:
    data = bytes(range(256)) * 50
    script = Script(
        'put_blob "$1" && put_empty "$2"', (f"{odd_path}/blob", f"{odd_path}/empty"), (("blob", data), ("empty", b""))
    )
    assert transport.run(script, timeout_s=60).exit_code == 0
    assert (odd_path / "blob").read_bytes() == data
    assert (odd_path / "blob").stat().st_mode & 0o777 == 0o600
    assert (odd_path / "empty").read_bytes() == b""


@pytest.mark.parametrize("code", [0, 1, 42, 255])
def test_the_exit_code_is_the_scripts(transport: Transport, code: int) -> None:
    assert run(transport, 'exit "$1"', str(code)).exit_code == code
    assert run(transport, 'return "$1"', str(code)).exit_code == code


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_signal_is_told_as_128_and_its_number(transport: Transport, number: signal.Signals) -> None:
    assert run(transport, 'kill -"$1" $$; sleep 60', str(int(number))).exit_code == 128 + number


def test_a_script_that_never_begins_is_an_error_that_shows_why(transport: Transport) -> None:
    with pytest.raises(HostError) as caught:
        run(transport, "if true; then")
    assert caught.value.host == transport.host
    assert "syntax error" in caught.value.detail.lower()


def test_stderr_is_apart_from_stdout(transport: Transport) -> None:
    result = run(transport, "echo out; echo err >&2; echo more")
    assert (result.stdout, result.stderr) == ("out\nmore\n", "err\n")


def test_what_start_up_files_print_is_noise(transport: Transport) -> None:
    result = run(transport, "echo said")
    assert result.stdout == "said\n"
    assert result.noise == (NOISE if transport.host == "noisy" else "")


def test_the_script_has_no_input(transport: Transport) -> None:
    assert run(transport, "cat; echo end").stdout == "end\n"


def test_output_is_utf_8_with_bad_bytes_kept(transport: Transport) -> None:
    result = run(transport, "printf 'gr\\303\\274n \\377\\376'")
    assert result.stdout == "grün \udcff\udcfe"


def test_twenty_megabytes_go_both_ways(transport: Transport, odd_path: Path) -> None:
    data = os.urandom(20 * 1024 * 1024)
    script = Script('put_blob "$1"; cat "$1"; cat "$1" >&2', (f"{odd_path}/blob",), (("blob", data),))
    result = transport.run(script, timeout_s=120)
    assert result.stdout.encode("utf-8", "surrogateescape") == data
    assert result.stderr.encode("utf-8", "surrogateescape") == data


def test_lines_are_handed_over_as_they_arrive(transport: Transport, odd_path: Path) -> None:
    seen: list[str] = []

    def sink(line: str) -> None:
        seen.append(line)
        # The script goes on only when the line has arrived.
        (odd_path / "go").touch()

    body = "echo one; while [ ! -e \"$1\" ]; do sleep 0.05; done; printf 'two\\nthree'"
    result = transport.run(Script(body, (f"{odd_path}/go",)), timeout_s=30, on_line=sink)
    assert seen == ["one", "two", "three"]
    assert result.stdout == "one\ntwo\nthree"


def test_an_error_of_the_sink_ends_the_command(transport: Transport) -> None:
    pids: list[int] = []

    def sink(line: str) -> None:
        pids.append(int(line))
        raise KeyError("a defect of the sink")

    with pytest.raises(KeyError):
        transport.run(Script("echo $$; cat <&3", watched=True), timeout_s=30, on_line=sink)
    wait_for(lambda: not pid_is_alive(pids[0]))
    assert run(transport, "echo still here").stdout == "still here\n"


def test_a_deadline_that_passes_is_an_error_and_ends_a_watched_script(transport: Transport) -> None:
    pids: list[int] = []
    for timeout_s in (1.5, 30.0):  # on a loaded machine the script may begin when it is over
        started = time.monotonic()
        with pytest.raises(CommandTimeout) as caught:
            transport.run(
                Script("echo $$; cat <&3", watched=True),
                timeout_s=timeout_s,
                on_line=lambda line: pids.append(int(line)),
            )
        assert time.monotonic() - started < timeout_s + 30
        assert caught.value.host == transport.host
        if pids:
            break
    wait_for(lambda: not pid_is_alive(pids[0]))
    assert run(transport, "echo still here").stdout == "still here\n"


def test_output_without_an_end_does_not_hold_up_the_deadline(transport: Transport) -> None:
    started = time.monotonic()
    with pytest.raises(CommandTimeout):
        run(transport, "exec yes", timeout_s=1)
    assert time.monotonic() - started < 30


def test_a_watched_script_that_ends_by_itself_is_not_waited_for(transport: Transport) -> None:
    assert transport.run(Script("echo done", watched=True), timeout_s=30).stdout == "done\n"


def test_many_commands_follow_one_another(transport: Transport) -> None:
    before = open_descriptors()
    for number in range(12):
        assert run(transport, 'echo "$1"', str(number)).stdout == f"{number}\n"
    assert open_descriptors() <= before + 1


def test_closing_twice_does_no_harm_and_a_closed_transport_opens_again(transport: Transport) -> None:
    run(transport, "true")
    transport.close()
    transport.close()
    assert run(transport, "echo again").stdout == "again\n"


def test_rsync_brings_files_both_ways(transport: Transport, odd_path: Path) -> None:
    source, there, back = odd_path / "source", odd_path / "there", odd_path / "back"
    (source / "sub folder").mkdir(parents=True)
    (source / "sub folder" / "blob").write_bytes(os.urandom(3_000_000))
    (source / "quote ' and $dollar").write_text("text")
    run(transport, "true")  # so that a chatty login shell is known
    for origin, target in ((f"{source}/", None), (None, f"{back}/")):
        endpoint = transport.rsync_endpoint()
        remote = f"{endpoint.prefix}{there}/"
        argv = ["rsync", "-a", "-s", *rsh_words(endpoint.rsh), origin or remote, target or remote]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
    assert (back / "sub folder" / "blob").read_bytes() == (source / "sub folder" / "blob").read_bytes()
    assert (back / "quote ' and $dollar").read_text() == "text"


def rsh_words(rsh: tuple[str, ...] | None) -> list[str]:
    return [] if rsh is None else ["-e", rsync_rsh(rsh)]


def test_a_local_host_needs_no_fabric() -> None:
    program = (
        "import sys\n"
        "from sltfleet.config.model import HostConfig\n"
        "from sltfleet.core.shell import Script\n"
        "from sltfleet.transport.connect import open_transport\n"
        "open_transport('there', HostConfig(), None)\n"
        "open_transport('here', HostConfig(transport='local'), None).run(Script('true'), timeout_s=30)\n"
        "print([name for name in ('fabric', 'paramiko', 'invoke', 'cryptography') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_what_runs_on_this_machine_does_not_see_the_queues_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLTFLEET_QUEUE", "redis://:s3cr3t@queue")
    monkeypatch.setenv("SLTFLEET_FLEET", "seen.yaml")
    result = open_transport("here", HostConfig(transport="local"), None).run(Script("env"), timeout_s=30)
    assert "seen.yaml" in result.stdout
    assert "s3cr3t" not in result.stdout
