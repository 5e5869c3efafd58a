"""Keys in different places that must fit each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from sltfleet.config.load import load_config
from sltfleet.core.errors import ConfigError

_FLEET = """\
project: p
hosts: {here: {transport: local}}
suites:
  s:
    build: {test: t}
    units: {kind: partitions, count: 4}
    verdict: {kind: json, path: "PATH", passed: a, failed: b}
    workdir: WORKDIR
"""


@pytest.mark.parametrize(("path", "workdir"), [("out_{worker}.json", "shared"), ("out.json", "per-worker")])
def test_a_verdict_file_of_each_workers_own_is_fine(tmp_path: Path, path: str, workdir: str) -> None:
    fleet = tmp_path / "fleet.yaml"
    fleet.write_text(_FLEET.replace("PATH", path).replace("WORKDIR", workdir))
    assert load_config(fleet, ssh_config=None, environ={}, cwd=tmp_path).config.suites["s"].workdir == workdir


def test_one_verdict_file_for_all_workers_of_a_shared_folder_is_refused(tmp_path: Path) -> None:
    fleet = tmp_path / "fleet.yaml"
    fleet.write_text(_FLEET.replace("PATH", "out.json").replace("WORKDIR", "shared"))
    with pytest.raises(ConfigError) as raised:
        load_config(fleet, ssh_config=None, environ={}, cwd=tmp_path)
    (problem,) = raised.value.problems
    assert (problem.line, problem.key) == (7, "suites.s.verdict.path")
    assert "{worker}" in problem.hint
