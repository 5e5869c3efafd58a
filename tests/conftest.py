"""Fixtures for every test: odd temporary paths, a home folder and an environment that are not the person's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no failure: no test asserts how long something takes.
settings.register_profile("sltfleet", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("sltfleet")

#: Spaces, quotes, a dollar, an umlaut and a star: whatever is not quoted somewhere breaks on these.
ODD_NAME = "odd näme 'q' \"d\" $x *"


@pytest.fixture
def odd_path(tmp_path: Path) -> Path:
    """A folder whose name has every character that careless quoting trips over."""
    path = tmp_path / ODD_NAME
    path.mkdir()
    return path


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the person's own settings out of the tests."""
    ours = ("SLTFLEET_SSH_CONFIG", "SLTFLEET_FLEET", "SLTFLEET_QUEUE")
    for name in (*ours, "NO_COLOR", "FORCE_COLOR", "CARGO_TARGET_DIR", "RUSTFLAGS"):
        monkeypatch.delenv(name, raising=False)
