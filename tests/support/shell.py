"""Runs a `Script` by this machine's `sh`, without any transport: what a host would do with it."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from sltfleet.core.shell import SHELL_COMMAND, Script, script_input
from sltfleet.transport.capture import Capture
from tests.support.waiting import PATIENCE_S

_SENTINEL = "the script begins here"


@dataclass(frozen=True)
class Answer:
    """What a script gave back, as the transports decode it."""

    exit_code: int
    stdout: str
    stderr: str


def run_script(script: Script, *, home: Path | None = None, path: str | None = None) -> Answer:
    """Run `script` to its end; `home` and `path` replace HOME and PATH."""
    environment = {**os.environ, **({"HOME": str(home)} if home else {}), **({"PATH": path} if path else {})}
    done = subprocess.run(
        [SHELL_COMMAND] if path is None else ["/bin/sh"],
        input=script_input(script, _SENTINEL),
        capture_output=True,
        timeout=PATIENCE_S,
        env=environment,
        check=False,
    )
    return Answer(done.returncode, _behind_sentinel(done.stdout), _behind_sentinel(done.stderr))


def _behind_sentinel(output: bytes) -> str:
    capture = Capture(_SENTINEL)
    capture.feed(output)
    assert capture.started, f"the script did not begin: {output!r}"
    return capture.text
