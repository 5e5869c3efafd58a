"""The sample project of `sltfleet demo`: a copy of the crate with its corpus, and the fleet.yaml that goes with it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

#: The crate and its corpus, shipped as package data.
CRATE = Path(__file__).parent / "crate"

#: The project's name, and so the name of its folder on the hosts.
PROJECT = "demo"

_FLEET = """\
project: {project}
repo: repo
hosts:
{hosts}
suites:
  sqllogictest:
    build: {{test: sqllogictest_suite, locked: true}}
    units: {{kind: files, root: corpus, include: ["**/*.test"]}}
    env:
      SQLLOGICTEST_FILES: "{{unit}}"
      SQLLOGICTEST_WORKER_ID: "{{worker}}"
      SQLLOGICTEST_TOTAL_WORKERS: "{{workers}}"
      SQLLOGICTEST_SEED: "{{seed}}"
      SQLLOGICTEST_TIME_BUDGET: "{{timeout}}"
    timeout: 60s
    verdict:
      kind: json
      path: "target/sqllogictest_results_worker_{{worker}}.json"
      passed: tested_files.passed
      failed: tested_files.failed
      messages: tested_files.errors
    canary: {{passing: select/slt_good_0.test, failing: honest-failures/wrong_expected_value.test}}
    workdir: per-worker
    budget: 30s
  story:
    build: {{test: sqllogictest_suite, locked: true}}
    units: {{kind: partitions, count: 120}}
    env:
      SQLLOGICTEST_WORKER_ID: "{{partition}}"
      SQLLOGICTEST_TOTAL_WORKERS: "{{partitions}}"
      SQLLOGICTEST_SEED: "{{seed}}"
    timeout: 60s
    verdict:
      kind: json
      path: "target/sqllogictest_results_worker_{{partition}}.json"
      passed: tested_files.passed
      failed: tested_files.failed
      messages: tested_files.errors
    workdir: per-worker
    budget: 30s
"""


def make_project(folder: Path, hosts: Mapping[str, Mapping[str, object]]) -> Path:
    """Copy the crate to `folder`/repo, and write and return `folder`/fleet.yaml for `hosts`: names and their keys."""
    shutil.copytree(CRATE, folder / "repo", ignore=shutil.ignore_patterns("target"))
    # JSON is YAML: one flow mapping per host, whatever characters its values have.
    lines = [f"  {json.dumps(name)}: {json.dumps(dict(keys))}" for name, keys in hosts.items()]
    path = folder / "fleet.yaml"
    path.write_text(_FLEET.format(project=PROJECT, hosts="\n".join(lines)), encoding="utf-8")
    return path
