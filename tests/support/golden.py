"""Golden files: what a display must look like, to the character.

SLTFLEET_UPDATE_GOLDEN=1 pytest tests/unit/report    # writes them anew; look at the diff before it is committed
"""

from __future__ import annotations

import os
from pathlib import Path

GOLDEN = Path(__file__).parent.parent / "golden"


def check_golden(name: str, text: str) -> None:
    """Compare `text` with the golden file `name` (a path below tests/golden), or write it where that is asked for."""
    path = GOLDEN / name
    content = text.rstrip("\n") + "\n"
    if os.environ.get("SLTFLEET_UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        return
    assert path.exists(), f"{path} is missing: write it with SLTFLEET_UPDATE_GOLDEN=1"
    assert content == path.read_text(encoding="utf-8"), f"{path} differs: SLTFLEET_UPDATE_GOLDEN=1 writes it anew"
