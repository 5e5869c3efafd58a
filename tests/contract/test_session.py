"""The runner in a scope of the user's own systemd, with a script in the place of systemd-run.

There is no running systemd in the containers in which this is tested, so no more than the call itself can be.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from sltfleet.wire.events import RunStarted
from tests.contract.runner_host import RunnerHost, finished, of
from tests.support.waiting import wait_for

#: Launches as the zipapp does, as a user of whom the host says that they linger.
LAUNCH = """\
import sys
from sltfleet.runner import launch, session
from sltfleet.wire.handshake import answer_to_line
session.look = lambda environ: session.Login(1000, True, "/run/user/1000", sys.argv[3])
sys.stdout.write(answer_to_line(launch.launch(sys.argv[1], sys.argv[2])))
"""


@pytest.mark.parametrize("works", [True, False])
def test_the_runner_is_started_in_the_scope_or_without_it_where_systemd_would_not(
    host: RunnerHost, odd_path: Path, works: bool
) -> None:
    spec = host.spec("true", passes=1)
    log = odd_path / "scopes.log"
    tool = odd_path / "systemd-run"
    then = 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"' if works else "echo no bus >&2; exit 1"
    tool.write_text(f'#!/bin/sh\necho "$XDG_RUNTIME_DIR $1 $2 $3 $$" >>{shlex.quote(str(log))}\n{then}\n')
    tool.chmod(0o755)
    command = [sys.executable, "-c", LAUNCH, str(host.put(spec)), str(host.archive), str(tool)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert '"launched"' in done.stdout, done.stdout
    wait_for(lambda: host.state(spec).phase == "finished", "the run's end")
    assert len(finished(host.journal(spec))) == 3
    (line,) = log.read_text().splitlines()
    assert line.startswith("/run/user/1000 --user --scope --quiet ")
    in_scope = host.state(spec).identity.pid == int(line.rsplit(" ", 1)[1])
    assert in_scope is works


def test_a_runner_that_began_in_its_scope_and_failed_is_not_begun_again_beside_it(
    host: RunnerHost, odd_path: Path
) -> None:
    spec = host.spec("true", passes=1)
    tool = odd_path / "systemd-run"
    tool.write_text('#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done; shift; "$@"; exit 1\n')
    tool.chmod(0o755)
    command = [sys.executable, "-c", LAUNCH, str(host.put(spec)), str(host.archive), str(tool)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert '"refused"' in done.stdout, done.stdout
    assert len(of(host.journal(spec), RunStarted)) == 1
