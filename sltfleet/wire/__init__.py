"""The wire: the one description of what controller and runner tell each other.

Both sides import these modules, and the runner's zipapp carries them to the hosts, so everything here is
standard library only and runs on Python 3.8. It has no I/O and no clock.

- `codec`: strict JSON <-> dataclass conversion; what comes from the other side is not trusted.
- `format`: the format version, and the errors for one that is too old or too new.
- `spec`: what the controller asks of a runner (`spec.json`).
- `events`: what a runner writes down (`journal.jsonl`).
- `state`: what a runner says of itself right now (`state.json`), and the process identity.
- `handshake`: the one line a launch answers with.
- `globs`: the path patterns of `units` (`**`, `*`, `?`, `[…]`), the same on both sides.
"""
