"""How a runner outlives the login that started it.

A session of its own and an ignored SIGHUP (what nohup does) are enough on most hosts. Where logind has
`KillUserProcesses=yes` it ends whatever is in the login's cgroup, whichever session that is in; a scope of the user's
own systemd is in another one. That manager lives on after the logout only for users who linger (loginctl(1)), so for
anybody else a scope would be worse than nothing: it would end with the logout on hosts where nohup suffices. Root is
not touched by logind (logind.conf(5), `KillExcludeUsers`).
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import sys
import traceback
from dataclasses import dataclass
from typing import Callable, List, Mapping, NoReturn, Optional

#: As PAM sets it, and systemd-run(1) needs it.
RUNTIME_DIR = "XDG_RUNTIME_DIR"


@dataclass(frozen=True)
class Login:
    """What decides how long this user's processes may live. `runtime_dir` is "" where no manager of theirs runs."""

    user_id: int
    lingers: bool = False
    runtime_dir: str = ""
    systemd_run: Optional[str] = None


def scope_words(login: Login) -> List[str]:
    """Return what is to stand before a command so that it outlives the login; nothing where nohup is all there is."""
    if login.user_id == 0 or not (login.lingers and login.runtime_dir and login.systemd_run):
        return []
    # A scope runs the command in place of systemd-run itself: same pid, same descriptors, same environment.
    return [login.systemd_run, "--user", "--scope", "--quiet", "--"]


def look(environ: Mapping[str, str], root: str = "/") -> Login:
    """Return what this host says about the user. `root`: of the filesystem."""
    user_id = os.geteuid()
    runtime_dir = environ.get(RUNTIME_DIR) or os.path.join(root, "run/user", str(user_id))
    try:
        name = pwd.getpwuid(user_id).pw_name
    except KeyError:
        return Login(user_id)
    return Login(
        user_id,
        lingers=os.path.exists(os.path.join(root, "var/lib/systemd/linger", name)),
        runtime_dir=runtime_dir if os.path.exists(os.path.join(runtime_dir, "systemd/private")) else "",
        systemd_run=shutil.which("systemd-run", path=environ.get("PATH")),
    )


def detached(work: Callable[[], int], log: int, folder: str) -> int:
    """Fork a process that does `work` in `folder` and exits with what that returns, and return its pid.

    It has a session of its own, /dev/null as input, the descriptor `log` as output and no other descriptor, and ignores
    SIGHUP, which is what nohup does. Raises OSError.
    """
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    exit_code = 1
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.setsid()
        os.chdir(folder)
        _keep_only(log)
        exit_code = work()
    except BaseException:  # noqa: BLE001 - whatever it is, it is told and ends here, not in the parent's code
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(exit_code)  # nothing that the parent has begun is to be ended here


def become(argv: List[str], environment: Mapping[str, str]) -> NoReturn:
    """Turn into another program. Raises OSError."""
    os.execve(argv[0], argv, environment)


def _keep_only(log: int) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:
            with contextlib.suppress(OSError):  # that of the listing itself is closed by now
                os.close(int(name))
