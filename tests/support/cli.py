"""Types `sltfleet …` in a process of its own, as a person would: with a home folder that is not the person's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.support.cargo import cargo_environment

#: No command of a test takes longer, builds included.
TIMEOUT_S = 240.0

_REPO = Path(__file__).resolve().parents[2]


@dataclass
class Typed:
    """What a command printed, and its exit code."""

    words: tuple[str, ...]
    exit_code: int
    stdout: str
    stderr: str

    @property
    def said(self) -> str:
        """All of it, for the message of a failed assertion."""
        return f"$ sltfleet {' '.join(self.words)}\n{self.stdout}{self.stderr}[exit code {self.exit_code}]"

    def json(self) -> Any:
        """The JSON value on standard output."""
        return json.loads(self.stdout)


@dataclass
class Person:
    """Somebody at a terminal in the folder `cwd`. What is still running when the test ends is ended."""

    cwd: Path
    home: Path
    environ: dict[str, str] = field(default_factory=dict)
    #: Words that run a command elsewhere, in a network namespace say; its pid must stay the same.
    launcher: tuple[str, ...] = ()
    _started: list[subprocess.Popen[str]] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        """The environment of the person's terminal: cargo and rustup are found where the machine has them."""
        return {
            **os.environ,
            **cargo_environment(),
            "PYTHONPATH": str(_REPO),
            "COLUMNS": "200",
            **self.environ,
            "HOME": str(self.home),
        }

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Type a command and do not wait for it."""
        process = subprocess.Popen(
            [*self.launcher, sys.executable, "-m", "sltfleet", *words],
            cwd=self.cwd,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def finish(self, process: subprocess.Popen[str], timeout_s: float = TIMEOUT_S) -> Typed:
        """Wait for a command that was started."""
        stdout, stderr = process.communicate(timeout=timeout_s)
        arguments = process.args
        assert isinstance(arguments, list)
        return Typed(
            tuple(str(word) for word in arguments[len(self.launcher) + 3 :]), process.returncode, stdout, stderr
        )

    def types(self, *words: str, timeout_s: float = TIMEOUT_S) -> Typed:
        """Type a command and wait for its end."""
        return self.finish(self.start(*words), timeout_s)

    def does(self, *words: str, code: int = 0, timeout_s: float = TIMEOUT_S) -> Typed:
        """Type a command that must end with the exit code `code`."""
        typed = self.types(*words, timeout_s=timeout_s)
        assert typed.exit_code == code, typed.said
        return typed

    def __enter__(self) -> Person:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
