"""`startup`: how long a person waits before sltfleet does anything.

`sltfleet --help`, and `sltfleet status` on a local host without a run, against `python3 -c pass`.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from bench.figures import Figure, Measured, Result, alternate

FLEET = """\
project: startup
hosts: {here: {transport: local, root: "ROOT"}}
suites: {s: {build: {test: t}, units: {kind: partitions, count: 1}}}
"""
PEER = "python3 -c pass"


def measure(folder: Path, repetitions: int) -> Result:
    """Measure it."""
    (folder / "fleet.yaml").write_text(FLEET.replace("ROOT", str(folder)))

    def timed(*arguments: str) -> Measured:
        started_s = time.monotonic()
        subprocess.run([sys.executable, *arguments], cwd=folder, stdout=subprocess.DEVNULL, check=True)
        return {"ms": (time.monotonic() - started_s) * 1000}

    series = alternate(
        {
            PEER: lambda: timed("-c", "pass"),
            "sltfleet --help": lambda: timed("-m", "sltfleet", "--help"),
            "sltfleet status": lambda: timed("-m", "sltfleet", "status"),
        },
        repetitions,
    )
    peers = {PEER: series[PEER]["ms"]}
    return Result([Figure(name, "ms", series[name]["ms"], peers) for name in ("sltfleet --help", "sltfleet status")])
