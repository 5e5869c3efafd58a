from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sltfleet.app.progress import silent
from sltfleet.app.sync import kept_here, sync
from sltfleet.config.load import LoadedConfig, load_config
from tests.support.local_fleet import local_fleet

TEXT = """\
project: demo
repo: {repo}
queue: {queue}
hosts: {{here: {{transport: local}}}}
suites: {{s: {{build: {{test: t}}, units: {{kind: partitions, count: 1}}}}}}
"""


def loaded(folder: Path, queue: str, repo: str = ".", name: str = "fleet.yaml") -> LoadedConfig:
    (folder / "repo").mkdir(exist_ok=True)
    path = folder / name
    path.write_text(TEXT.format(queue=queue, repo=repo))
    return load_config(path, ssh_config=None, environ={}, cwd=folder)


@pytest.mark.parametrize(
    ("queue", "repo", "kept"),
    [
        ("redis://:pw@q", ".", ("/fleet.yaml",)),
        ("redis://q", ".", ()),
        ("redis://:pw@q", "repo", ()),
        ("", ".", ()),
    ],
)
def test_a_file_with_the_queues_password_is_no_part_of_the_repo(
    queue: str, repo: str, kept: tuple[str, ...], odd_path: Path
) -> None:
    assert kept_here(loaded(odd_path, queue, repo)) == kept


def test_it_stays_here_whatever_its_name_is(tmp_path: Path) -> None:
    repo, root = tmp_path / "repo", tmp_path / "host"
    repo.mkdir()
    name = "f [1]*\\ 'é'?.yaml"
    found = loaded(repo, "redis://:s3cr3t@q", name=name)
    (repo / "other.yaml").write_text("comes along")
    fleet = local_fleet(repo, {"here": str(root)})
    results = sync(replace(fleet, loaded=found), silent)
    assert not results.errors
    there = [path for path in root.rglob("*") if path.is_file()]
    assert "other.yaml" in {path.name for path in there}
    assert not [path for path in there if b"s3cr3t" in path.read_bytes()]
