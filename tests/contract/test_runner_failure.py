"""A runner that fails itself, by a defect that is put into it here: what was finished is not lost, and it says why."""

from __future__ import annotations

import subprocess
import sys

from sltfleet.wire.events import Note, RunFinished
from tests.contract.runner_host import RunnerHost, finished, of
from tests.support.waiting import PATIENCE_S

#: Runs the loop, which fails as soon as an attempt is over whose end is not in the journal yet, and prints its number.
FAILS = """\
import sys
from sltfleet.runner import loop, run
check = loop.Loop._check_memory
def fail(self, now):
    check(self, now)
    ended = [action.event.attempt for action in self._deferred if isinstance(action, loop.Settle)]
    if ended:
        print(ended[-1], flush=True)
        raise RuntimeError("out of order")
loop.Loop._check_memory = fail
run.run(sys.argv[1])
"""


def test_a_runner_that_fails_writes_down_what_is_over_and_says_what_went_wrong(host: RunnerHost) -> None:
    spec = host.spec("true", budget_s=PATIENCE_S)
    assert host.call("prepare", str(host.put(spec)))[0] == 0
    command = [sys.executable, "-c", FAILS, str(host.run_dir(spec))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=2 * PATIENCE_S, check=False)
    assert done.returncode == 1
    assert "RuntimeError: out of order" in done.stderr
    journal = host.journal(spec)
    assert int(done.stdout) in [event.attempt for event in finished(journal)]
    assert any("out of order" in note.text for note in of(journal, Note))
    assert of(journal, RunFinished)[0].reason == "error"
    assert (host.state(spec).phase, host.state(spec).reason) == ("finished", "error")
    assert host.attempts_of(spec.run_id) == []
