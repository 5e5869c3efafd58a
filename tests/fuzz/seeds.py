"""What the readers are given as a rule: the start for every change that a fuzzer makes to it."""

from __future__ import annotations

import json
from pathlib import Path

from sltfleet.wire.codec import to_text
from tests.support.journals import JournalBuilder
from tests.support.states import RUN_ID, make_state

_CASES = Path(__file__).parents[1] / "cases"

_FLEET_YAML = b"""\
project: sample
repo: .
sync: {gitignore: true, exclude: [/target/], max_delete: 10}
hosts:
  localhost: {transport: local, env: {A: "1"}}
  big-1: {workers: 64, tags: [big], root: ~/x}
suites:
  slt: &slt
    build: {package: p, test: t, profile: release}
    units: {kind: files, root: t, include: ["**/*.test"]}
    env: {FILES: "{unit}", N: 07}
    timeout: {factor: 4, floor: 10s, max: 1h30m}
    verdict: {kind: output, failed: ["^FAILED (?P<case>.*)$"]}
    budget: 3600s
  again: *slt
"""


def seeds(target: str) -> list[bytes]:
    """Return what is known to be read by a target; never empty."""
    if target == "fleet_yaml":
        return [_FLEET_YAML]
    if target in ("journal", "followed"):
        data = JournalBuilder().attempt(0, "a.test", 0, 1).attempt(1, "b", 0, 2, "fail", message="no").finish(9).data
        return [data if target == "journal" else f"{RUN_ID} 0 1\n".encode() + data]
    if target == "state":
        text = to_text(make_state())
        stat = "S " + " ".join(["1"] * 17) + " 123456 0"
        head = f"run {RUN_ID}\nboot b00t\nclock 1795435492\nidentity b00t 4711 123456\nstat {stat}\nstate\n"
        return [text.encode(), (head + text).encode()]
    if target == "spec":
        return [b'{"format": 1, "run_id": "x", "units": {"kind": "files", "root": "t", "include": ["*"]}}']
    folder, suffix = {
        "ssh_settings": ("ssh_config", ""),
        "cargo_messages": ("cargo", ""),
        "cargo_metadata": ("cargo_metadata", ""),
        "libtest": ("verdicts", "libtest"),
        "rsync_progress": ("rsync", ""),
    }[target]
    return sorted(_texts(folder, suffix))


def _texts(folder: str, prefix: str) -> set[bytes]:
    """Every text of a case that has several lines or is JSON: the outputs of commands among them."""
    found = {b"\n"}
    pending: list[object] = [json.loads(path.read_text()) for path in (_CASES / folder).glob(f"{prefix}*.json")]
    while pending:
        value = pending.pop()
        if isinstance(value, str) and ("\n" in value or value.startswith("{")):
            found.add(value.encode("utf-8", "surrogateescape"))
        elif isinstance(value, dict):
            pending += value.values()
        elif isinstance(value, list):
            pending += value
            if value and all(isinstance(line, str) for line in value):
                found.add("\n".join(value).encode("utf-8", "surrogateescape"))
    return found
