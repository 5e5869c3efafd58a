"""A host for the real runner: the zipapp, a project with odd names, and scripts in place of test executables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.runner_host import RunnerHost


@pytest.fixture
def host(odd_path: Path) -> Iterator[RunnerHost]:
    """A host whose every process is ended with the test, however the test ends."""
    host = RunnerHost(odd_path)
    try:
        yield host
    finally:
        host.end_everything()
