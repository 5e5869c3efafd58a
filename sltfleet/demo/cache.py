"""Compiled dependencies of the sample suite, kept from one demo to the next, so that the second one takes a minute.

They lie in the virtual environment that sltfleet is installed in, and go with it. Cargo itself decides what of them it
can use: the sample crate is compiled anew on every host in any case.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

from sltfleet.core.paths import MARKER_NAME, HostPaths

#: What cargo knows of the compiler: another one makes a kept folder worthless.
_COMPILER = ".rustc_info.json"
#: In a kept folder: the path of cargo's own folder, which what was compiled knows. Cargo uses none of it with another.
_CARGO_HOME = ".sltfleet-cargo-home"


def default_cache(*, over_ssh: bool) -> Path | None:
    """Return where compiled dependencies are kept, None where sltfleet is not in a virtual environment.

    There are two places where a session over ssh has another `cargo_home` than this process.
    """
    if sys.prefix == sys.base_prefix:
        return None
    apart = over_ssh and cargo_home(over_ssh=True) != cargo_home(over_ssh=False)
    return Path(sys.prefix) / "share" / "sltfleet-demo" / ("ssh-target" if apart else "target")


def cargo_home(*, over_ssh: bool) -> Path:
    """Return the path of cargo's own folder, in this process or in a session over ssh: that has nothing of this
    process' environment, and the account's home folder.
    """
    usual = Path(pwd.getpwuid(os.getuid()).pw_dir, ".cargo")
    return usual if over_ssh else Path(os.environ.get("CARGO_HOME") or Path(os.environ.get("HOME", ""), ".cargo"))


def seed_target(cache: Path, host: HostPaths) -> None:
    """Make the project's folder of a host on this machine, with a copy of `cache` as its target folder.

    Does nothing where there is no cache yet. Raises OSError.
    """
    if not cache.is_dir():
        return
    folder = Path(host.project_dir)
    folder.mkdir(parents=True, mode=0o700)
    (folder / MARKER_NAME).write_text(host.project + "\n")
    copy_tree(cache, Path(host.target))


def keep_target(cache: Path, host: HostPaths, cargo_home: Path) -> None:
    """Keep a copy of the host's target folder, unless the one that is kept is of the same compiler and `cargo_home`.

    Raises OSError.
    """
    target = Path(host.target)
    compiler = _content(target / _COMPILER)
    home = os.fsencode(cargo_home)
    if compiler is None or (_content(cache / _COMPILER), _content(cache / _CARGO_HOME)) == (compiler, home):
        return
    aside = cache.with_name(cache.name + ".new")
    shutil.rmtree(aside, ignore_errors=True)
    aside.parent.mkdir(parents=True, exist_ok=True)
    copy_tree(target, aside)
    (aside / _CARGO_HOME).write_bytes(home)
    shutil.rmtree(cache, ignore_errors=True)
    aside.rename(cache)


def copy_tree(source: Path, target: Path) -> None:
    """Copy a folder with its times, sharing blocks where the filesystem can. Raises OSError."""
    argv = ["cp", "-a", "--reflink=auto", "--", str(source), str(target)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(done.stderr.strip())


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
