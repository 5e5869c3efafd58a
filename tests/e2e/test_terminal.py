"""What a person at a terminal sees: bars and tables that redraw themselves, and Ctrl-C that leaves a run running."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import stopped_at_the_end
from tests.e2e.observer import make_observer
from tests.support.cli import Person
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.cargo


class Terminal:
    """A command on a terminal of its own, and all that it has drawn so far."""

    def __init__(self, person: Person, *words: str) -> None:
        self._own, theirs = pty.openpty()
        environment = {**person.environment(), "TERM": "xterm-256color", "COLUMNS": "140", "LINES": "40"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sltfleet", *words],
            cwd=person.cwd,
            env=environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.drawn = ""

    def read(self, until: str | None, timeout_s: float = PATIENCE_S) -> str:
        """Read until a pattern was drawn, or to the end; return what was drawn, without control sequences."""
        deadline = time.monotonic() + timeout_s
        while until is None or not re.search(until, self.text):
            assert time.monotonic() < deadline, f"waited in vain for {until!r}:\n{self.text}"
            if not select.select([self._own], [], [], 0.2)[0]:
                continue
            try:
                piece = os.read(self._own, 65536)
            except OSError:  # Linux's way to say that nobody is at the other end any more
                break
            if not piece:
                break
            self.drawn += piece.decode("utf-8", "replace")
        return self.text

    @property
    def text(self) -> str:
        """What was drawn, without colours and cursor movements."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.drawn)

    def close(self) -> None:
        """End the command if it still runs."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._own)


@pytest.fixture
def project(person: Person, tmp_path: Path) -> Iterator[Person]:
    """A project on one local host."""
    host: dict[str, object] = {"transport": "local", "root": str(tmp_path / "hosts")}
    make_observer(person.cwd, {"localhost": host}, {"a.unit": "sleep 0.2\n", "b.unit": "sleep 0.3\n"})
    with stopped_at_the_end(person):
        yield person


def test_steps_are_drawn_as_bars_and_what_came_of_them_stays(project: Person) -> None:
    terminal = Terminal(project, "sync")
    try:
        text = terminal.read(None)
        assert terminal.process.wait(PATIENCE_S) == 0, text
        assert "✓ localhost: syncing:" in text
        # Above the bars, on a line of its own.
        assert re.search(r"(^|[\r\n])\s*✓ localhost: syncing:", text), text
    finally:
        terminal.close()


def test_ctrl_c_leaves_the_run_running_and_says_how_to_come_back(project: Person) -> None:
    project.does("sync")
    terminal = Terminal(project, "run", "--workers", "2", "--budget", "300s")
    try:
        terminal.read(r"running +2/2")
        os.killpg(terminal.process.pid, signal.SIGINT)
        text = terminal.read("goes on")
        assert terminal.process.wait(PATIENCE_S) == 130, text
        assert "sltfleet status --watch" in text
    finally:
        terminal.close()
    (host,) = project.does("status", "--format", "json").json()["hosts"]
    assert (host["state"], host["active"]) == ("running", 2)
