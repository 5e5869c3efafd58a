"""How an attempt ended, in one word each."""

from __future__ import annotations

PASS = "pass"
FAIL = "fail"
TIMEOUT = "timeout"
#: Ended by a signal that the runner did not send.
CRASH = "crash"
#: Ended for want of memory.
OOM = "oom"
#: The budget, a stop, fail-fast or a shortage of memory ended it: no verdict, never counted for or against the test.
CUT = "cut"
#: It could not be started: never the test's fault.
INFRA = "infra"
SKIP = "skip"

#: In the order in which tables show them.
OUTCOMES = (PASS, FAIL, TIMEOUT, CRASH, OOM, CUT, INFRA, SKIP)

#: The outcomes that say something against the test.
BAD = frozenset((FAIL, TIMEOUT, CRASH, OOM))

#: The outcomes that are a verdict, and so cover a unit.
VERDICTS = BAD | {PASS, SKIP}
