"""Reports for the displays' tests, made the way real ones are: from journals, through the database."""

from __future__ import annotations

from pathlib import Path

from sltfleet.app.report import RunReport, gather_report
from sltfleet.core.paths import LocalPaths
from sltfleet.wire.events import Note
from sltfleet.wire.quarantine import Quarantine, quarantine_text
from tests.support.journals import LATER_RUN_ID, RUN_ID, JournalBuilder

UNITS = ("select1.test", "select2.test", "index/random/slt_good_0.test", "flaky.test")


def looping(folder: Path) -> RunReport:
    """A run that kept two hosts busy, with failing, flaky and slow units."""
    paths = LocalPaths(folder)
    for host, factor in (("localhost", 1.0), ("rwalters-sandbox-1", 1.5)):
        _busy(host, factor).write(paths, host)
    return gather_report(paths, RUN_ID)


def once(folder: Path) -> RunReport:
    """A run of the old kind on one host: its workers leave when the units are gone."""
    journal = JournalBuilder(run_id=LATER_RUN_ID, workers=4, units=UNITS, once=True, budget_s=60, host="localhost")
    for worker, unit in enumerate(UNITS):
        journal.attempt(worker, unit, 0.01, 2.0 + worker, cpu_s=1.5).leave(worker, 2.0 + worker, "once")
    journal.sample(1, 90).sample(5, 40).pass_end(1, 5.0).finish(5, "once")
    paths = LocalPaths(folder)
    journal.write(paths, "localhost", LATER_RUN_ID)
    return gather_report(paths, LATER_RUN_ID)


def hostile(folder: Path) -> RunReport:
    """A run that still goes on, on a host that does its worst to the terminal."""
    evil = "\x1b]0;owned\x07\u202etest.sql\n\x9b2J"
    journal = JournalBuilder(units=(evil,), suite=evil, build_digest="b\udc80").attempt(0, evil, 0, 3)
    journal.attempt(0, evil, 3, 4, "fail", failed=((evil, "line one\nline two \x1b[31m" + "long " * 50),))
    journal.start(1, "a.test", 2)
    journal.events.append(Note(5, f"the journal cannot be written: {evil}"))
    paths = LocalPaths(folder)
    journal.write(paths).open("ab").write(b"garbage\n")
    return gather_report(paths, RUN_ID)


def queued(folder: Path) -> RunReport:
    """A run of two hosts with a shared queue, from which one was cut off for a while."""
    paths = LocalPaths(folder)
    alpha = JournalBuilder(host="localhost", units=UNITS, budget_s=10)
    beta = JournalBuilder(host="rwalters-sandbox-1", units=UNITS, budget_s=10)
    for number, unit in enumerate(UNITS, 1):
        alpha.attempt(0, unit, number - 1, number)
        (beta if number % 2 else alpha).attempt(1, unit, number - 1, number, pass_number=2)
    alpha.counted(1, 2, 4, 5).counted(3, 6, pass_number=2).finish(10).write(paths, "localhost")
    beta.attempt(0, UNITS[2], 1, 2).counted(3).counted(1, pass_number=2).finish(10).write(paths, "rwalters-sandbox-1")
    return gather_report(paths, RUN_ID)


def _busy(host: str, factor: float) -> JournalBuilder:
    journal = JournalBuilder(workers=4, units=UNITS, budget_s=60, host=host, cores=2)
    for worker in range(4):
        at_s, number = 0.004, 0
        while at_s < 60:
            unit = UNITS[(number + worker) % 4]
            seconds = (2.0, 3.25, 0.4, 1.0)[(number + worker) % 4] * factor
            outcome, message = "pass", ""
            if unit == "select2.test":
                outcome, message = "fail", "query result mismatch at select2.test:118: [1] != [2]"
            elif unit == "flaky.test" and number % 3 == 0:
                outcome, message = "timeout" if worker else "fail", "timed out after 1 s"
            if at_s + seconds > 60:
                outcome, message, seconds = "cut", "ended with the run (budget)", 60.02 - at_s
            journal.attempt(
                worker,
                unit,
                at_s,
                at_s + seconds,
                outcome,
                message=message,
                pass_number=number // 4 + 1,
                cpu_s=0.4 * seconds,
            )
            at_s, number = at_s + seconds + 0.004, number + 1
        journal.leave(worker, 60)
    for pass_number in range(1, 6):
        journal.pass_end(pass_number, pass_number * 9.5 * factor)
    for second in range(1, 60):
        journal.sample(second, 70 + second % 7)
    for at_s, timeouts in ((20, 3), (50, 4)) if host == "localhost" else ():
        journal.events.append(Note(at_s, quarantine_text(Quarantine("flaky.test", timeouts))))
    return journal.finish(60.05)
