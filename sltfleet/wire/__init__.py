"""The wire: the one description of what controller and runner tell each other.

Both sides import these modules, and the runner's zipapp carries them to the hosts, so everything here is
standard library only and runs on Python 3.8. It has no I/O and no clock.

- `codec`: strict JSON <-> dataclass conversion; what comes from the other side is not trusted.
- `format`: the format version, and the errors for one that is too old or too new.
- `spec`: what the controller asks of a runner (`spec.json`).
- `events`: what a runner writes down (`journal.jsonl`).
- `state`: what a runner says of itself right now (`state.json`), and the process identity.
- `share`: what a host is told of the other hosts of its run (`share.json`).
- `handshake`: the one line a launch answers with; `repro`, `queue_check`: what these commands are asked and answer.
- `globs`: the path patterns of `units` (`**`, `*`, `?`, `[…]`); `template`: placeholders in braces.
- `outcome`, `coverage`, `quarantine`: what both sides must understand alike of attempts and units.
"""
