"""The observer suite as a project: units that do as their file says and log their own start and end."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CRATE = Path(__file__).resolve().parents[1] / "fixtures" / "observer"

_FLEET = """\
project: observed
repo: repo
hosts:
{hosts}
suites:
  observer:
    build: {{test: observer}}
    units: {{kind: files, root: units, include: ["**/*.unit"]}}
    env: {{OBSERVER_UNIT: "{{unit}}", OBSERVER_PATH: "{{path}}", OBSERVER_LOG: {log}}}
    timeout: {timeout}
    kill_after: 1s
    output_limit: 64KiB
    verdict: {{kind: output, failed: ["^FAILED (?P<case>[^:]+): (?P<message>.*)$"]}}
"""


@dataclass(frozen=True)
class Observed:
    """What one attempt said of itself; `end_s` is None where it never got there."""

    pid: int
    unit: str
    start_s: float
    end_s: float | None


def make_observer(
    folder: Path, hosts: Mapping[str, Mapping[str, object]], units: Mapping[str, str], *, timeout: str = "60s"
) -> Path:
    """Write the project with one file per unit (name -> instructions); return the path of the observer's log."""
    log = folder / "observed.log"
    shutil.copytree(CRATE, folder / "repo", ignore=shutil.ignore_patterns("target"))
    for name, text in units.items():
        path = folder / "repo" / "units" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    lines = "\n".join(f"  {json.dumps(name)}: {json.dumps(dict(keys))}" for name, keys in hosts.items())
    literal = json.dumps(str(log).replace("{", "{{").replace("}", "}}"))
    (folder / "fleet.yaml").write_text(_FLEET.format(hosts=lines, log=literal, timeout=timeout))
    return log


def read_log(path: Path) -> list[Observed]:
    """Return the attempts in the order of their starts."""
    starts: dict[tuple[int, str], float] = {}
    ended: list[Observed] = []
    for line in path.read_text().splitlines():
        word, pid, unit, at = line.split()
        if word == "START":
            starts[int(pid), unit] = float(at)
        else:
            ended.append(Observed(int(pid), unit, starts.pop((int(pid), unit)), float(at)))
    never = [Observed(pid, unit, at, None) for (pid, unit), at in starts.items()]
    return sorted([*ended, *never], key=lambda attempt: attempt.start_s)


def busy_share(attempts: list[Observed], workers: int, begin_s: float, budget_s: float) -> float:
    """Return the occupancy by the tests' own clock: busy worker-seconds / (workers x budget)."""
    end_s = begin_s + budget_s
    busy_s = sum(
        max(0.0, min(attempt.end_s if attempt.end_s is not None else end_s, end_s) - max(attempt.start_s, begin_s))
        for attempt in attempts
    )
    return busy_s / (workers * budget_s)
