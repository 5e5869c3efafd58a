"""`python -m soak_test MINUTES [--seed N] [--keep]`: play rounds, gather the evidence, judge it, say it."""

from __future__ import annotations

import argparse
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from soak_test.evidence import gather, outside
from soak_test.rounds import Campaigner
from soak_test.scene import scene
from soak_test.verdict import closing_lines, judge


def main(argv: Sequence[str] | None = None) -> int:
    """Run the soak test; return 1 where something does not add up."""
    parser = argparse.ArgumentParser(prog="scripts/soak", description="Do harm at random, and check every number.")
    parser.add_argument("minutes", type=float, metavar="MINUTES", help="how long; the accounting comes after it")
    parser.add_argument("--seed", type=int, metavar="N", help="the faults of an earlier run (default: new ones)")
    parser.add_argument("--keep", action="store_true", help="keep the folder with everything in it")
    arguments = parser.parse_args(argv)
    seed = secrets.randbits(31) if arguments.seed is None else arguments.seed
    # A shell starts its background jobs with SIGINT ignored, and the commands typed here would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # A SIGTERM ends what was started, as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    folder = Path(tempfile.mkdtemp(prefix="sltfleet-soak-")).resolve()
    tell(f"soak for {arguments.minutes:g} minutes, seed {seed}, in {folder}")
    try:
        return soak(folder, seed, 60.0 * arguments.minutes, keep=arguments.keep)
    except KeyboardInterrupt:
        tell("interrupted; everything that was started is ended")
        return 130
    finally:
        if not arguments.keep:
            shutil.rmtree(folder, ignore_errors=True)


def soak(folder: Path, seed: int, lasts_s: float, *, keep: bool) -> int:
    """Do it in an empty folder; `keep`: it is looked at afterwards."""
    with scene(folder) as made:
        if not made.own_disks:
            tell("no file system can be mounted here: no disk is filled")
        player = Campaigner(made, tell)
        before = outside(made)
        player.play_until(seed, time.monotonic() + lasts_s)
        evidence = gather(made)
        if keep:  # their file systems go with this process
            shutil.copytree(folder / "hosts", folder / "hosts as they were", symlinks=True)
        verdict = judge(evidence, made.said, made.harms, before, player.found)
    for line in closing_lines(verdict, player.done, player.rounds, seed):
        tell(line)
    return 1 if verdict.found else 0


def tell(text: str) -> None:
    """Print a line now: it may be a log that somebody follows."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
