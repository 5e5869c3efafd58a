"""The machine's own cargo, for people and hosts with another home folder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def cargo_environment() -> dict[str, str]:
    """Return the variables that let cargo work under another home folder, with the person's caches and toolchains."""
    home = Path.home()
    return {
        "CARGO_HOME": os.environ.get("CARGO_HOME", str(home / ".cargo")),
        "RUSTUP_HOME": os.environ.get("RUSTUP_HOME", str(home / ".rustup")),
    }


def session_environment() -> dict[str, str]:
    """Return the same for a session over ssh, whose PATH has nothing of the person's but the folder of cargo."""
    cargo = shutil.which("cargo")
    folders = [str(Path(cargo).parent)] if cargo else []
    return {**cargo_environment(), "PATH": ":".join([*folders, "/usr/local/bin", "/usr/bin", "/bin"])}
