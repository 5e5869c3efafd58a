from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sltfleet.cli.interrupt import GRACE_S, next_after, raise_on_signals
from sltfleet.cli.main import COMMANDS

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def _handlers_as_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_each_signal_interrupts(number: int) -> None:
    signal.signal(number, signal.SIG_DFL)
    raise_on_signals()
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)


def test_a_second_signal_waits_until_what_is_under_way_could_end() -> None:
    clock = [100.0]
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    raise_on_signals(lambda: clock[0])
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
    clock[0] += GRACE_S
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)


def test_an_ignored_signal_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    raise_on_signals()
    os.kill(os.getpid(), signal.SIGHUP)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_something_to_type_next(command: str) -> None:
    assert "`sltfleet " in next_after([command, "--host", "alpha"])


CAUGHT = """\
import sys
from sltfleet.cli.interrupt import forget_interruption
try:
    exec("raise KeyboardInterrupt")
except KeyboardInterrupt:
    pass
{forget}
sys.exit(130)
"""


@pytest.mark.parametrize(("forget", "code"), [("forget_interruption()", 130), ("", -signal.SIGINT)])
def test_an_interruption_while_code_is_being_made_does_not_change_the_exit_code(
    tmp_path: Path, forget: str, code: int
) -> None:
    (tmp_path / "caught.py").write_text(CAUGHT.format(forget=forget))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    done = subprocess.run([sys.executable, "-m", "caught"], env=environment, check=False)
    assert done.returncode == code
