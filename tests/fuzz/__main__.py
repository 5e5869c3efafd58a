"""`python -m tests.fuzz TARGET SECONDS`: one target under atheris. `scripts/fuzz` installs what it needs."""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["sltfleet"]):
    from tests.fuzz.targets import TARGETS

from tests.fuzz.seeds import seeds


def main(arguments: list[str]) -> int:
    """Fuzz until the time is up. Ends with an error, and the input in .fuzz/TARGET/, where something is found."""
    name, seconds = (*arguments, "", "")[:2]
    if name not in TARGETS or not seconds.isdigit():
        sys.stderr.write(f"usage: scripts/fuzz TARGET [SECONDS]\ntargets: {' '.join(sorted(TARGETS))}\n")
        return 2
    corpus = Path(".fuzz") / name / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(name)):
        (corpus / f"seed-{number}").write_bytes(seed)
    options = [f"-max_total_time={seconds}", "-timeout=10", "-max_len=20000", f"-artifact_prefix={corpus.parent}/"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], TARGETS[name])
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
