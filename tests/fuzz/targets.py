"""What reads text that nobody vouches for, as functions from bytes: shared by the hypothesis tests and scripts/fuzz.

A target returns for whatever bytes it is given, or raises one of the exceptions that its reader documents, which are
caught here. Anything else is a finding.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from sltfleet.config.load import load_config
from sltfleet.core.cargo import CargoReader
from sltfleet.core.cargo_metadata import CargoMetadataError, parse_metadata
from sltfleet.core.errors import BuildError, ConfigError, UsageError
from sltfleet.core.following import parse_followed, read_events, whole_lines
from sltfleet.core.polling import judge, parse_poll
from sltfleet.core.rsync import RsyncReader, skipped_deletions
from sltfleet.core.ssh_config import LocalUser, parse_settings
from sltfleet.runner.libtest import read_list, read_run
from sltfleet.wire.codec import DecodeError
from sltfleet.wire.format import FormatError
from sltfleet.wire.spec import spec_from_json
from tests.support.journals import read_all

Target = Callable[[bytes], None]

_ME = LocalUser(name="jane", uid=1000, home="/home/jane", host_name="here")


def fleet_yaml(data: bytes) -> None:
    """The person's own file, which may be anybody's: a repo that was cloned brings one along."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fleet.yaml"
        path.write_bytes(data)
        with contextlib.suppress(ConfigError, UsageError):
            load_config(path, ssh_config=None, environ={}, cwd=Path(folder))


def journal(data: bytes) -> None:
    """A fetched journal."""
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(data)
        events, _damage = read_all(Path(file.name))
    assert len(events) <= data.count(b"\n")


def followed(data: bytes) -> None:
    """What `logs` reads of a journal."""
    piece = parse_followed(_text(data))
    if piece is not None:
        read_events(whole_lines(piece)[0])


def state(data: bytes) -> None:
    """A host's answer to a poll, the state file in it."""
    judge(parse_poll(_text(data)))
    judge(parse_poll("run 20261123-120312-3f9a1c\nboot b\nclock 1\nstate\n" + _text(data)))


def spec(data: bytes) -> None:
    """The specification of a run, as the runner and repro read it."""
    with contextlib.suppress(ValueError, RecursionError, DecodeError, FormatError):
        spec_from_json(json.loads(data))


def ssh_settings(data: bytes) -> None:
    """What `ssh -G` prints."""
    with contextlib.suppress(ValueError):
        parse_settings(_text(data), _ME)


def cargo_messages(data: bytes) -> None:
    """What cargo prints with --message-format=json."""
    for reader in (CargoReader(test="it"), CargoReader(test=None)):
        for line in _text(data).split("\n"):
            reader.feed(line)
        for ask in (reader.artifact, reader.all_artifacts):
            with contextlib.suppress(BuildError):
                ask()


def cargo_metadata(data: bytes) -> None:
    """What `cargo metadata` prints."""
    with contextlib.suppress(CargoMetadataError):
        parse_metadata(_text(data))


def libtest(data: bytes) -> None:
    """A listing of libtest, and the output of its tests."""
    text = data.decode("utf-8", "replace")
    with contextlib.suppress(ValueError):
        read_list(text)
    read_run(text, ("a::b", "c"))


def rsync_progress(data: bytes) -> None:
    """What rsync prints while it works and at its end, in pieces as they come."""
    reader = RsyncReader()
    text = _text(data)
    for start in range(0, len(text), 7):
        reader.feed(text[start : start + 7])
    assert reader.stats is None or reader.stats.files >= 0
    skipped_deletions(text)


TARGETS: Mapping[str, Target] = {
    target.__name__: target
    for target in (
        fleet_yaml,
        journal,
        followed,
        state,
        spec,
        ssh_settings,
        cargo_messages,
        cargo_metadata,
        libtest,
        rsync_progress,
    )
}


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
