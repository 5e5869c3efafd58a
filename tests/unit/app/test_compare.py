"""Which runs `compare` sets side by side, and what it says where there are too few."""

from __future__ import annotations

from pathlib import Path

import pytest

from sltfleet.app.compare import gather_comparison
from sltfleet.core.errors import RunError, UsageError
from sltfleet.core.paths import LocalPaths


def test_where_nothing_was_fetched_it_says_so(odd_path: Path) -> None:
    with pytest.raises(RunError, match="no run has been fetched yet"):
        gather_comparison(LocalPaths(odd_path), ())


def test_one_run_alone_is_refused(odd_path: Path) -> None:
    with pytest.raises(UsageError, match="one run alone"):
        gather_comparison(LocalPaths(odd_path), ("20261123-125553-58df27",))
