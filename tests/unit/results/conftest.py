"""An empty database, in a folder with an odd name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sltfleet.core.paths import LocalPaths
from sltfleet.results.store import Store


@pytest.fixture
def paths(odd_path: Path) -> LocalPaths:
    return LocalPaths(odd_path)


@pytest.fixture
def store(paths: LocalPaths) -> Iterator[Store]:
    with Store.open(paths) as opened:
        yield opened
