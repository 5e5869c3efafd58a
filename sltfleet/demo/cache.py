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


def default_cache(*, over_ssh: bool) -> Path | None:
    """Return where compiled dependencies are kept, None where sltfleet is not in a virtual environment.

    What cargo compiled knows the path of cargo's own folder. A session over ssh has the account's home folder, and so
    another one than this process where HOME was set to something else.
    """
    if sys.prefix == sys.base_prefix:
        return None
    account_home = pwd.getpwuid(os.getuid()).pw_dir
    name = "ssh-target" if over_ssh and os.environ.get("HOME") != account_home else "target"
    return Path(sys.prefix) / "share" / "sltfleet-demo" / name


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


def keep_target(cache: Path, host: HostPaths) -> None:
    """Keep a copy of the host's target folder, unless the one that is kept is of the same compiler. Raises OSError."""
    target = Path(host.target)
    if not (target / _COMPILER).is_file() or _same_compiler(cache, target):
        return
    aside = cache.with_name(cache.name + ".new")
    shutil.rmtree(aside, ignore_errors=True)
    aside.parent.mkdir(parents=True, exist_ok=True)
    copy_tree(target, aside)
    shutil.rmtree(cache, ignore_errors=True)
    aside.rename(cache)


def copy_tree(source: Path, target: Path) -> None:
    """Copy a folder with its times, sharing blocks where the filesystem can. Raises OSError."""
    argv = ["cp", "-a", "--reflink=auto", "--", str(source), str(target)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(done.stderr.strip())


def _same_compiler(cache: Path, target: Path) -> bool:
    try:
        return (cache / _COMPILER).read_bytes() == (target / _COMPILER).read_bytes()
    except OSError:
        return False
