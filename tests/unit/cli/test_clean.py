"""What `clean` asks before it deletes."""

from __future__ import annotations

import io

import pytest

from sltfleet.cli.clean import _agreed
from sltfleet.core.errors import UsageError


@pytest.mark.parametrize(("typed", "agreed"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_only_a_yes_is_a_yes(monkeypatch: pytest.MonkeyPatch, typed: str, agreed: bool) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    assert _agreed(yes=False) is agreed


def test_where_nobody_can_answer_it_names_the_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with pytest.raises(UsageError) as caught:
        _agreed(yes=False)
    assert "--yes" in caught.value.fix
